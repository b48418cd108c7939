// SPDX-License-Identifier: MIT
// `spur render`: writes episodes of a saved policy as a video or as PNG files.
//
// The episodes equal those of `spur eval`: the same start states, the same deterministic actions.
// The video plays in real time.
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actor/env/env.h"
#include "actor/env/env_factory.h"
#include "actor/env/mujoco_internal.h"
#include "actor/env/render/render.h"
#include "actor/actions.h"
#include "actor/episode.h"
#include "cli/cli.h"
#include "cli/play/player.h"
#include "cli/play/video.h"
#include "cli/run/rundir.h"
#include "common/base/check.h"

#define WIDTH 640 // defaults of --size
#define HEIGHT 480
#define FPS_UNKNOWN 30 // steps per second of an environment that does not report them

static const char help[] =
    "usage: spur render RUN_DIR|ENV [--policy WHICH] [--stochastic] [--episodes N] [--seed N]\n"
    "                   [--out FILE.mp4] [--png DIR] [--size WxH] [--camera VIEW] [--fps N]\n"
    "                   [--steps N]\n"
    "\n"
    "Renders episodes of a saved policy with deterministic actions (tanh of the mean). Return and\n"
    "step are shown in the picture. The episodes are the first of `spur eval` with the same seed.\n"
    "\n" PLAYER_HELP "  --episodes N    default: 1\n"
    "  --seed N        seed of the start states; default: run.seed of the run, or 1\n"
    "  --out FILE.mp4  default: RUN_DIR/render.mp4, or ./render.mp4 without one; needs ffmpeg\n"
    "  --png DIR       write the frames to DIR/000000.png, ...; an MP4 is then written only with\n"
    "                  --out\n"
    "  --size WxH      picture size, even numbers from 64 to 4096; default: 640x480. An\n"
    "                  environment in another process determines its own size\n"
    "  --camera VIEW   the name of a camera of the model; auto (default), side, front, top; or\n"
    "                  AZIMUTH,ELEVATION[,ZOOM] in degrees: 90,-20,2 looks along y, 20 degrees\n"
    "                  down, at twice the size\n"
    "  --fps N         frames per second at most; default: 50. Every k-th step is drawn, so that\n"
    "                  the video plays in real time\n"
    "  --steps N       maximum number of steps per episode; default: eval.steps_max of the run,\n"
    "                  or 10000\n";

static const struct option options[] = {
    {"env", required_argument, NULL, 'v'},
    {"policy", required_argument, NULL, 'p'},
    {"episodes", required_argument, NULL, 'n'},
    {"seed", required_argument, NULL, 's'},
    {"out", required_argument, NULL, 'o'},
    {"png", required_argument, NULL, 'g'},
    {"size", required_argument, NULL, 'z'},
    {"camera", required_argument, NULL, 'c'},
    {"fps", required_argument, NULL, 'f'},
    {"steps", required_argument, NULL, 't'},
    {"stochastic", no_argument, NULL, 'a'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

struct request {
    struct player player;
    const char *out, *png_dir;
    char out_path[PATH_MAX];
    int width, height;
    const char *camera; // as given; NULL: auto
    bool help;
    uint64_t fps;
};

// ---- the command line ----

static bool parse_size(struct request *r, char **argv, const char *text) {
    char end;
    if (sscanf(text, "%4dx%4d%c", &r->width, &r->height, &end) != 2 ||
        r->width < ENV_RENDER_SIDE_MIN || r->height < ENV_RENDER_SIDE_MIN ||
        r->width > ENV_RENDER_SIDE_MAX || r->height > ENV_RENDER_SIDE_MAX || r->width % 2 != 0 ||
        r->height % 2 != 0) {
        cli_usage_error(argv,
                        "--size: expected two even numbers from %d to %d such as 640x480, found "
                        "\"%.60s\"",
                        ENV_RENDER_SIDE_MIN, ENV_RENDER_SIDE_MAX, text);
        return false;
    }
    return true;
}

static bool parse_option(struct request *r, int option, char **argv) {
    switch (option) {
    case 'o':
        r->out = optarg;
        return true;
    case 'g':
        r->png_dir = optarg;
        return true;
    case 'z':
        return parse_size(r, argv, optarg);
    case 'c':
        r->camera = optarg;
        return true;
    case 'f':
        return cli_parse_number(&r->fps, argv, "--fps", optarg, 1, 1000);
    case 'h':
        r->help = true;
        return true;
    default:
        return player_option(&r->player, option, argv);
    }
}

// The default path of the MP4.
static bool choose_out(struct request *r) {
    if (r->out || r->png_dir) {
        return true;
    }
    r->out = r->out_path;
    if (!r->player.run_dir) {
        snprintf(r->out_path, sizeof(r->out_path), "render.mp4");
        return true;
    }
    return rundir_join(r->out_path, r->player.run_dir, "render.mp4");
}

// ---- rendering ----

struct rendering {
    const struct request *request;
    const struct task *task;
    struct env *env;
    struct env_render *render;
    struct policy_controller controller;
    struct video *video;
    uint64_t frames;
    int width, height;
    double fps; // of the environment's steps
    int steps_per_frame;
    uint8_t *rgb; // (height, width, 3)
    float *obs, *act, *noise;
    struct episode episode;
    uint64_t number; // of the episode
    char err[1024];
    int exit_code; // with err; 0: EXIT_CODE_FAILURE
};

// The picture of the environment's own render(), cropped to even sides, which an MP4 requires.
static int draw_itself(struct rendering *s) {
    struct env_picture picture;
    if (env_draw(&picture, s->env, s->err, sizeof(s->err)) < 0) {
        return -1;
    }
    if (picture.width / 2 * 2 != s->width || picture.height / 2 * 2 != s->height) {
        snprintf(s->err, sizeof(s->err), "render() changed the size of its pictures to %dx%d",
                 picture.width, picture.height);
        return -1;
    }
    for (int y = 0; y < s->height; y++) {
        memcpy(s->rgb + (size_t)y * (size_t)s->width * 3,
               picture.rgb + (size_t)y * (size_t)picture.width * 3, (size_t)s->width * 3);
    }
    return 0;
}

static int draw_by_mujoco(struct rendering *s) {
    char values[128];
    snprintf(values, sizeof(values), "%llu\n%llu\n%.1f", (unsigned long long)s->number + 1,
             (unsigned long long)s->episode.length, s->episode.episode_return);
    return env_render_draw(s->rgb, s->render, s->env, "episode\nstep\nreturn", values, s->err,
                           sizeof(s->err));
}

static int render_frame(struct rendering *s) {
    int rc = s->render ? draw_by_mujoco(s) : draw_itself(s);
    if (rc < 0 || video_add(s->video, s->rgb, s->err, sizeof(s->err)) < 0) {
        return -1;
    }
    s->frames++;
    return 0;
}

// Renders an episode from its first to its last state. 0, or -1 with a message in err.
static int render_episode(struct rendering *s) {
    struct episode *e = &s->episode;
    const char *end = "";
    enum actions actions = s->request->player.actions;
    struct rng rng = actions_rng(s->request->player.seed, s->number);
    episode_begin_evaluation(e, s->env, s->request->player.seed, s->number);
    if (s->render) {
        env_render_begin(s->render, s->env);
    }
    if (render_frame(s) < 0) {
        return -1;
    }
    for (bool over = false; !over;) {
        env_obs(s->env, s->obs);
        actions_draw(s->noise, actions, &rng, s->task->act_dim);
        actions_compute(s->act, actions, &s->controller, s->obs, s->noise, 1, s->task->act_dim);
        episode_step(e, s->env, s->act);
        if (e->state == EPISODE_BROKEN) {
            end = "; ended early by a bad step of the simulator";
            break;
        }
        over = e->state != EPISODE_RUNNING;
        if (!over && e->length == s->request->player.steps_max) {
            end = "; cut (--steps, or eval.steps_max)";
            over = true;
        }
        if ((over || e->length % (uint64_t)s->steps_per_frame == 0) && render_frame(s) < 0) {
            return -1;
        }
    }
    printf("episode %llu: return %.1f, length %llu%s\n", (unsigned long long)s->number + 1,
           e->episode_return, (unsigned long long)e->length, end);
    fflush(stdout);
    return 0;
}

static int render_all(struct rendering *s) {
    const struct request *r = s->request;
    double fps = s->fps / s->steps_per_frame;
    s->video = video_open(r->out, r->png_dir, s->width, s->height, fps, s->err, sizeof(s->err));
    if (!s->video) {
        return -1;
    }
    for (s->number = 0; s->number < r->player.episodes; s->number++) {
        if (render_episode(s) < 0) {
            return -1;
        }
    }
    if (video_close(&s->video, s->err, sizeof(s->err)) < 0) {
        return -1;
    }
    printf("%llu frames of %dx%d, %.4g per second: %s%s%s\n", (unsigned long long)s->frames,
           s->width, s->height, fps, r->out ? r->out : "", r->out && r->png_dir ? ", " : "",
           r->png_dir ? r->png_dir : "");
    return 0;
}

// AZIMUTH,ELEVATION[,ZOOM].
static bool parse_angles(struct env_camera *c, const char *text) {
    char end;
    c->zoom = 1;
    int n = sscanf(text, "%lf,%lf,%lf%c", &c->azimuth, &c->elevation, &c->zoom, &end);
    return (n == 2 || n == 3) && fabs(c->azimuth) <= 360 && fabs(c->elevation) <= 90 &&
           c->zoom >= 0.1 && c->zoom <= 10;
}

// A camera of the model goes before a view of the same name.
static bool choose_camera(struct env_camera *camera, struct rendering *s) {
    static const struct {
        const char *name;
        struct env_camera camera;
    } views[] = {
        {"side", {90, -12, 1, NULL}},
        {"front", {180, -12, 1, NULL}},
        {"top", {90, -90, 1, NULL}},
    };
    const char *text = s->request->camera;
    *camera = env_camera_default(s->env);
    if (!text || env_camera_exists(s->env, text)) {
        camera->name = text;
        return true;
    }
    for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++) {
        if (strcmp(text, views[i].name) == 0) {
            *camera = views[i].camera;
            return true;
        }
    }
    if (strcmp(text, "auto") == 0 || parse_angles(camera, text)) {
        return true;
    }
    char names[512];
    env_camera_names(names, sizeof(names), s->env);
    snprintf(s->err, sizeof(s->err),
             "--camera: expected auto, side, front, top, AZIMUTH,ELEVATION[,ZOOM] (to 360 and 90 "
             "degrees, zoom 0.1 to 10) or a camera of the model (%s), found \"%.60s\"",
             names[0] ? names : "it has none with a name", text);
    s->exit_code = EXIT_CODE_USAGE;
    return false;
}

static int prepare_mujoco(struct rendering *s) {
    const struct request *r = s->request;
    struct env_camera camera;
    if (!choose_camera(&camera, s)) {
        return -1;
    }
    s->width = r->width ? r->width : WIDTH;
    s->height = r->height ? r->height : HEIGHT;
    s->fps = 1 / env_dt(s->env);
    s->render = env_render_create(s->env, s->width, s->height, camera, s->err, sizeof(s->err));
    return s->render ? 0 : -1;
}

// An environment with its own render() determines the size, taken from its first picture.
static int prepare_itself(struct rendering *s) {
    const struct request *r = s->request;
    struct env_picture picture;
    struct rng rng = rng_make(r->player.seed, RNG_EVAL_RESET, 0);
    if (r->camera || r->width) {
        snprintf(s->err, sizeof(s->err),
                 "%s has its own render(): --size and --camera apply to tasks in MuJoCo only",
                 s->task->name);
        return -1;
    }
    if (env_prepare_pictures(s->env, s->err, sizeof(s->err)) < 0) {
        return -1;
    }
    env_reset(s->env, &rng);
    if (env_draw(&picture, s->env, s->err, sizeof(s->err)) < 0) {
        return -1;
    }
    s->width = picture.width / 2 * 2;
    s->height = picture.height / 2 * 2;
    s->fps = picture.fps > 0 && isfinite(picture.fps) ? picture.fps : FPS_UNKNOWN;
    return 0;
}

// Creates environment, renderer and buffers. 0, or -1 with a message in err.
static int prepare(struct rendering *s) {
    const struct request *r = s->request;
    s->env = env_create(s->task, s->err, sizeof(s->err));
    if (!s->env) {
        return -1;
    }
    if (!env_render_possible(s->env) && !env_draws(s->env)) {
        snprintf(
            s->err, sizeof(s->err),
            "%s is a plug-in: no picture is possible, because only MuJoCo environments and those "
            "with a render() are drawn",
            s->task->name);
        return -1;
    }
    if (actions_need_policy(r->player.actions) &&
        policy_controller_load(&s->controller, &r->player.saved.policy, s->task, 1, 0, s->err,
                               sizeof(s->err)) != POLICY_CONTROLLER_LOADED) {
        return -1;
    }
    if ((env_draws(s->env) ? prepare_itself(s) : prepare_mujoco(s)) < 0) {
        return -1;
    }
    s->steps_per_frame = (int)fmax(1, ceil(s->fps / (double)r->fps - 1e-9));
    s->rgb = xmalloc((size_t)s->width * (size_t)s->height * 3);
    s->obs = xfloats((size_t)s->task->obs_dim);
    s->act = xfloats((size_t)s->task->act_dim);
    s->noise = xfloats((size_t)s->task->act_dim);
    return 0;
}

int cmd_render(int argc, char **argv) {
    struct request r = {.fps = 50, .player = {.episodes = 1, .has_episodes = true}};
    for (int option; (option = cli_next_option(argc, argv, options)) != -1;) {
        if (!parse_option(&r, option, argv)) {
            return EXIT_CODE_USAGE;
        }
    }
    if (r.help) {
        fputs(help, stdout);
        return EXIT_CODE_OK;
    }
    int rc = player_load(&r.player, argc, argv);
    if (rc != 0) {
        return rc;
    }
    struct rendering s = {.request = &r, .task = r.player.saved.task};
    signal(SIGPIPE, SIG_IGN); // write reports the end of ffmpeg
    if (!choose_out(&r)) {
        rc = EXIT_CODE_IO;
    } else if (prepare(&s) < 0 || render_all(&s) < 0) {
        rc = cli_fail(s.exit_code ? s.exit_code : EXIT_CODE_FAILURE, NULL, "%s", s.err);
    }
    video_discard(&s.video);
    env_render_destroy(&s.render);
    env_destroy(&s.env);
    policy_controller_deinit(&s.controller);
    free(s.rgb);
    free(s.obs);
    free(s.act);
    free(s.noise);
    player_deinit(&r.player);
    return rc;
}
