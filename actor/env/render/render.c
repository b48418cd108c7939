// SPDX-License-Identifier: MIT
// Composes a scene around a copy of the simulation (camera, ground, sky, light) and draws it.
#include "actor/env/render/render.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actor/env/mujoco_internal.h"
#include "actor/env/mujoco_library.h"
#include "actor/env/render/offscreen.h"
#include "common/base/check.h"

#define TILES 15                             // of the ground, from the middle to each edge
#define GEOMS_MAX (4000 + 4 * TILES * TILES) // in a scene
#define MARGIN 1.15                          // relative space around the moving bodies

// In units of the camera's distance.
#define WALL 4.0 // distance of the sky behind the robot
#define LAMP 2.5 // height of the lamp above it
#define REACH 4  // how far from the robot a body is still followed, in starting distances

struct env_render {
    struct offscreen *offscreen;
    int width, height;
    struct env_camera angles;
    mjModel *model; // a copy, painted
    mjData *data;   // a copy of the environment's
    const mjData *source;
    unsigned char *pixels; // (height, width, 3), bottom row first
    const char *names, *values;

    int robot;     // its root body
    bool travels;  // whether the camera follows it
    bool *moves;   // (nbody) whether the tree of a root body has moving geoms
    double reach;  // trees farther from the robot are not followed
    double floor;  // height of the ground
    double tile;   // side length
    double aim[3]; // point of view, relative to the centre of the moving trees if the robot travels
    int fixed;     // the model's camera; -1: our own

    mjvScene scene;
    mjvOption option;
    mjvCamera camera;
    mjrContext context;
};

// ---- roles in a model ----

static bool is_static(const mjModel *m, int geom) {
    return m->body_weldid[m->geom_bodyid[geom]] == 0;
}

// The root body of the actuated joints; without actuators, of the first joint.
static int find_robot(const mjModel *m) {
    for (int i = 0; i < m->nu; i++) {
        if (m->actuator_trntype[i] == mjTRN_JOINT) {
            return m->body_rootid[m->jnt_bodyid[m->actuator_trnid[2 * i]]];
        }
    }
    return m->njnt > 0 ? m->body_rootid[m->jnt_bodyid[0]] : 0;
}

static bool can_travel(const mjModel *m, int robot) {
    for (int i = 0; i < m->njnt; i++) {
        bool leaves =
            m->jnt_type[i] == mjJNT_FREE || (m->jnt_type[i] == mjJNT_SLIDE && !m->jnt_limited[i]);
        if (m->jnt_bodyid[i] == robot && leaves) {
            return true;
        }
    }
    return false;
}

// (nbody) whether the tree of a root body has moving geoms.
static bool *find_moving(const mjModel *m) {
    bool *moves = xcalloc((size_t)m->nbody, sizeof *moves);
    for (int g = 0; g < m->ngeom; g++) {
        if (!is_static(m, g)) {
            moves[m->body_rootid[m->geom_bodyid[g]]] = true;
        }
    }
    return moves;
}

// A fixed plane: drawn as our ground.
static bool is_ground(const mjModel *m, int geom) {
    return m->geom_type[geom] == mjGEOM_PLANE && is_static(m, geom);
}

// Whether a geom must be visible: all that move, and beside a robot that stays what is fixed, too.
static bool is_framed(const mjModel *m, bool travels, int geom) {
    return m->geom_type[geom] != mjGEOM_PLANE && (!travels || !is_static(m, geom));
}

// Whether a tree of bodies is close enough to the robot to be shown with it.
static bool is_near(const struct env_render *r, int root) {
    const mjtNum *com = r->data->subtree_com;
    double sum = 0;
    for (int i = 0; i < 3; i++) {
        double d = com[(size_t)root * 3 + (size_t)i] - com[(size_t)r->robot * 3 + (size_t)i];
        sum += d * d;
    }
    return !(sqrt(sum) > r->reach);
}

// ---- colours ----

// Warm colours for the robot, one per limb; cold ones for other moving objects.
static const float robot_colours[][3] = {
    {0.93f, 0.52f, 0.18f}, {0.85f, 0.28f, 0.22f}, {0.97f, 0.73f, 0.22f},
    {0.80f, 0.38f, 0.30f}, {0.88f, 0.62f, 0.35f},
};
static const float thing_colours[][3] = {
    {0.25f, 0.70f, 0.45f},
    {0.30f, 0.62f, 0.85f},
    {0.55f, 0.48f, 0.85f},
};
static const float fixture_colour[3] = {0.55f, 0.58f, 0.62f};
static const float tile_colours[2][4] = {{0.33f, 0.40f, 0.47f, 1}, {0.25f, 0.31f, 0.38f, 1}};
static const float sky_colour[4] = {0.52f, 0.61f, 0.70f, 1};

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

// Colours the geoms that have MuJoCo's default grey; other colours are kept.
static void paint(mjModel *m, int robot) {
    int *colour = xcalloc((size_t)m->nbody, sizeof *colour); // numbered by limb, or by thing
    float *shade = xcalloc((size_t)m->nbody, sizeof *shade); // alternates along a limb
    int limbs = 0, things = 0;
    for (int b = 1; b < m->nbody; b++) {
        int parent = m->body_parentid[b];
        shade[b] = shade[parent] == 1.0f ? 0.8f : 1.0f;
        if (parent == robot) {
            colour[b] = 1 + limbs++ % (COUNT(robot_colours) - 1);
        } else if (parent != 0) {
            colour[b] = colour[parent];
        } else if (b != robot) {
            colour[b] = things++ % COUNT(thing_colours);
        }
    }
    for (int g = 0; g < m->ngeom; g++) {
        float *rgba = m->geom_rgba + (size_t)g * 4;
        int b = m->geom_bodyid[g];
        if (is_ground(m, g)) {
            rgba[3] = 0; // not drawn
        }
        if (m->geom_matid[g] >= 0 || rgba[0] != 0.5f || rgba[1] != 0.5f || rgba[2] != 0.5f) {
            continue;
        }
        const float *rgb = is_static(m, g)              ? fixture_colour
                           : m->body_rootid[b] == robot ? robot_colours[colour[b]]
                                                        : thing_colours[colour[b]];
        for (int i = 0; i < 3; i++) {
            rgba[i] = rgb[i] * (is_static(m, g) ? 1.0f : shade[b]);
        }
    }
    free(colour);
    free(shade);
}

// ---- sizes ----

struct ball {
    double centre[3], radius;
};

// One or two balls that enclose a geom; two for long ones. Returns their number.
static int geom_balls(struct ball balls[2], const mjModel *m, const mjData *d, int geom) {
    const mjtNum *size = m->geom_size + (size_t)geom * 3, *pos = d->geom_xpos + (size_t)geom * 3;
    const mjtNum *mat = d->geom_xmat + (size_t)geom * 9;
    bool is_long = m->geom_type[geom] == mjGEOM_CAPSULE || m->geom_type[geom] == mjGEOM_CYLINDER;
    double half = is_long ? size[1] : 0;
    for (int side = 0; side < 2; side++) {
        for (int i = 0; i < 3; i++) {
            balls[side].centre[i] = pos[i] + (side ? half : -half) * mat[3 * i + 2];
        }
        balls[side].radius = is_long ? size[0] : m->geom_rbound[geom];
    }
    return is_long ? 2 : 1;
}

struct box {
    double low[3], high[3];
};

// Bounding box of the geoms that must be visible, or only of the moving ones.
static struct box surround(const mjModel *m, const mjData *d, bool travels, bool moving_only) {
    struct box box = {{INFINITY, INFINITY, INFINITY}, {-INFINITY, -INFINITY, -INFINITY}};
    for (int g = 0; g < m->ngeom; g++) {
        struct ball balls[2];
        if (!is_framed(m, travels, g) || (moving_only && is_static(m, g))) {
            continue;
        }
        for (int n = geom_balls(balls, m, d, g); n > 0; n--) {
            for (int i = 0; i < 3; i++) {
                const struct ball *ball = &balls[n - 1];
                box.low[i] = fmin(box.low[i], ball->centre[i] - ball->radius);
                box.high[i] = fmax(box.high[i], ball->centre[i] + ball->radius);
            }
        }
    }
    if (box.low[0] > box.high[0]) { // empty: a default
        box = (struct box){{-1, -1, -1}, {1, 1, 1}};
    }
    return box;
}

// Height of the model's ground, or slightly below the bounding box.
static double floor_height(const mjModel *m, const mjData *d, const struct box *box) {
    double height = -INFINITY;
    for (int g = 0; g < m->ngeom; g++) {
        if (is_ground(m, g)) {
            height = fmax(height, d->geom_xpos[(size_t)g * 3 + 2]);
        }
    }
    return isfinite(height) ? height : box->low[2] - 0.2 * (box->high[2] - box->low[2]);
}

// ---- the camera ----

struct axes {
    double forward[3], right[3], up[3];
};

// MuJoCo's cameras look along -z, with x to the right.
static struct axes fixed_axes(const mjtNum *mat) {
    return (struct axes){
        .forward = {-mat[2], -mat[5], -mat[8]},
        .right = {mat[0], mat[3], mat[6]},
        .up = {mat[1], mat[4], mat[7]},
    };
}

static struct axes camera_axes(const struct env_render *r) {
    if (r->fixed >= 0) {
        return fixed_axes(r->data->cam_xmat + (size_t)r->fixed * 9);
    }
    const struct env_camera *c = &r->angles;
    double az = c->azimuth * M_PI / 180, el = c->elevation * M_PI / 180;
    return (struct axes){
        .forward = {cos(el) * cos(az), cos(el) * sin(az), sin(el)},
        .right = {sin(az), -cos(az), 0},
        .up = {-sin(el) * cos(az), -sin(el) * sin(az), cos(el)},
    };
}

static double dot(const double *a, const double *b) {
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

// Distance of the camera from `aim` at which everything is visible.
static double distance_needed(const struct env_render *r, const double *aim) {
    struct axes axes = camera_axes(r);
    double half_angle = r->model->vis.global.fovy * M_PI / 360;
    double half_angle_x = atan(tan(half_angle) * r->width / r->height);
    double needed = 0;
    for (int g = 0; g < r->model->ngeom; g++) {
        struct ball balls[2];
        if (!is_framed(r->model, r->travels, g) ||
            !is_near(r, r->model->body_rootid[r->model->geom_bodyid[g]])) {
            continue;
        }
        for (int n = geom_balls(balls, r->model, r->data, g); n > 0; n--) {
            const struct ball *ball = &balls[n - 1];
            double to[3] = {ball->centre[0] - aim[0], ball->centre[1] - aim[1],
                            ball->centre[2] - aim[2]};
            // The ball touches an edge of the view when its centre is this far from the axis:
            // z tan(angle) - radius / cos(angle), at the depth z = distance + its own.
            double y = (fabs(dot(to, axes.up)) + ball->radius / cos(half_angle)) / tan(half_angle);
            double x =
                (fabs(dot(to, axes.right)) + ball->radius / cos(half_angle_x)) / tan(half_angle_x);
            needed = fmax(needed, fmax(x, y) - dot(to, axes.forward));
        }
    }
    return needed * MARGIN / (r->fixed >= 0 ? 1 : r->angles.zoom);
}

// The mean centre of mass of the moving trees in x and y; 0 if the camera does not follow them.
static void centre_now(double centre[2], const struct env_render *r) {
    int trees = 0;
    centre[0] = centre[1] = 0;
    for (int b = 1; b < r->model->nbody && r->travels; b++) {
        if (r->moves[b] && is_near(r, b)) {
            centre[0] += r->data->subtree_com[(size_t)b * 3];
            centre[1] += r->data->subtree_com[(size_t)b * 3 + 1];
            trees++;
        }
    }
    for (int i = 0; i < 2 && trees > 1; i++) {
        centre[i] /= trees;
    }
}

// The current point of view.
static void aim_now(double aim[3], const struct env_render *r) {
    double centre[2];
    centre_now(centre, r);
    aim[0] = r->aim[0] + centre[0];
    aim[1] = r->aim[1] + centre[1];
    aim[2] = r->aim[2];
}

bool env_render_possible(const struct env *env) {
    return mujoco_env_model(env) != NULL;
}

struct env_camera env_camera_default(const struct env *env) {
    const mjModel *m = mujoco_env_model(env);
    bool travels = can_travel(m, find_robot(m));
    struct box box = surround(m, mujoco_env_data(env), travels, true);
    double width = fmax(box.high[0] - box.low[0], box.high[1] - box.low[1]);
    double flat = fmax(0, 1 - (box.high[2] - box.low[2]) / (0.6 * width)); // 0 upright, 1 flat
    return (struct env_camera){.azimuth = 90, .elevation = -(12 + 70 * flat * flat), .zoom = 1};
}

static int find_camera(const mjModel *m, const char *name) {
    for (int i = 0; i < m->ncam && name != NULL; i++) {
        const char *has = mujoco.mj_id2name(m, mjOBJ_CAMERA, i);
        if (has != NULL && strcmp(has, name) == 0) {
            return i;
        }
    }
    return -1;
}

bool env_camera_exists(const struct env *env, const char *name) {
    return find_camera(mujoco_env_model(env), name) >= 0;
}

void env_camera_names(char *out, size_t out_len, const struct env *env) {
    const mjModel *m = mujoco_env_model(env);
    size_t n = 0;
    out[0] = '\0';
    for (int i = 0; i < m->ncam && n < out_len; i++) {
        const char *name = mujoco.mj_id2name(m, mjOBJ_CAMERA, i);
        if (name != NULL) {
            n += (size_t)snprintf(out + n, out_len - n, "%s%s", n > 0 ? ", " : "", name);
        }
    }
}

// ---- the scene ----

static void add_box(mjvScene *scene, const double pos[3], const double half[3], const double mat[9],
                    const float rgba[4]) {
    CHECK(scene->ngeom < scene->maxgeom);
    mjvGeom *geom = &scene->geoms[scene->ngeom++];
    mujoco.mjv_initGeom(geom, mjGEOM_BOX, half, pos, mat, rgba);
    geom->category = mjCAT_DECOR;
    geom->specular = 0;
    geom->shininess = 0;
}

// A slab, and tiles at fixed positions in the world while the camera moves. They are thick,
// because thin ones cast shadows on themselves.
static void add_ground(struct env_render *r, const double aim[3]) {
    double far = 20 * r->camera.distance, proud = 0.002 * r->tile;
    double slab[3] = {far, far, r->tile};
    add_box(&r->scene, (double[]){aim[0], aim[1], r->floor - r->tile - proud}, slab, NULL,
            tile_colours[0]);
    long x0 = lround(aim[0] / r->tile), y0 = lround(aim[1] / r->tile);
    double half[3] = {r->tile / 2, r->tile / 2, r->tile};
    for (long x = x0 - TILES; x <= x0 + TILES; x++) {
        for (long y = y0 - TILES; y <= y0 + TILES; y++) {
            if ((x + y) % 2 == 0) {
                double pos[3] = {(double)x * r->tile, (double)y * r->tile, r->floor - r->tile};
                add_box(&r->scene, pos, half, NULL, tile_colours[1]);
            }
        }
    }
}

// A wall in the background.
static void add_sky(struct env_render *r, const double aim[3]) {
    struct axes axes = camera_axes(r);
    double distance = r->camera.distance, pos[3], mat[9];
    for (int i = 0; i < 3; i++) {
        pos[i] = aim[i] + axes.forward[i] * WALL * distance;
        mat[3 * i + 0] = axes.right[i];
        mat[3 * i + 1] = axes.up[i];
        mat[3 * i + 2] = -axes.forward[i];
    }
    double half[3] = {20 * distance, 20 * distance, 0.01 * distance};
    add_box(&r->scene, pos, half, mat, sky_colour);
}

// A lamp above and behind the camera, for shading and shadows.
static void add_lamp(struct env_render *r, const double aim[3]) {
    if (r->model->nlight > 0 || r->scene.nlight >= mjMAXLIGHT) {
        return; // the model has lights
    }
    struct axes axes = camera_axes(r);
    double to[3] = {-0.35 * axes.forward[0] - 0.35 * axes.right[0],
                    -0.35 * axes.forward[1] - 0.35 * axes.right[1], 1};
    double length = sqrt(dot(to, to));
    mjvLight *lamp = &r->scene.lights[r->scene.nlight++];
    *lamp = (mjvLight){.cutoff = 60, .castshadow = 1, .attenuation = {1, 0, 0}};
    for (int i = 0; i < 3; i++) {
        lamp->pos[i] = (float)(aim[i] + to[i] / length * LAMP * r->camera.distance);
        lamp->dir[i] = (float)(-to[i] / length);
        lamp->diffuse[i] = 0.6f;
        lamp->specular[i] = 0.3f;
    }
}

// For a camera of the model: the point on its axis at the depth of the moving bodies.
static void look_ahead(double aim[3], struct env_render *r) {
    const mjtNum *pos = r->data->cam_xpos + (size_t)r->fixed * 3;
    struct axes axes = camera_axes(r);
    double to[3] = {aim[0] - pos[0], aim[1] - pos[1], aim[2] - pos[2]};
    double start = r->reach / REACH; // the nearest visible depth is a part of the distance
    r->camera.distance = fmin(fmax(dot(to, axes.forward), 0.1 * start), 1.5 * start);
    for (int i = 0; i < 3; i++) {
        aim[i] = pos[i] + axes.forward[i] * r->camera.distance;
    }
}

static void compose(struct env_render *r) {
    double aim[3];
    aim_now(aim, r);
    if (r->fixed >= 0) {
        look_ahead(aim, r);
    } else {
        // The distance never decreases within an episode, to avoid a pulsating image.
        r->camera.distance = fmax(r->camera.distance, distance_needed(r, aim));
    }
    memcpy(r->camera.lookat, aim, sizeof aim);
    r->model->stat.extent = r->camera.distance;
    mujoco.mjv_updateScene(r->model, r->data, &r->option, NULL, &r->camera, mjCAT_ALL, &r->scene);
    add_ground(r, aim);
    add_sky(r, aim);
    add_lamp(r, aim);
}

// ---- under MuJoCo's error handler ----

static void copy_state(void *arg) {
    struct env_render *r = arg;
    mujoco.mj_copyData(r->data, r->model, r->source);
    mujoco.mj_fwdPosition(r->model, r->data);
}

static void make_scene(void *arg) {
    struct env_render *r = arg;
    mujoco.mjv_makeScene(r->model, &r->scene, GEOMS_MAX);
    mujoco.mjr_makeContext(r->model, &r->context,
                           r->height < 720    ? mjFONTSCALE_50
                           : r->height < 1440 ? mjFONTSCALE_100
                                              : mjFONTSCALE_200);
    mujoco.mjr_setBuffer(mjFB_OFFSCREEN, &r->context);
}

static void draw(void *arg) {
    struct env_render *r = arg;
    copy_state(r);
    compose(r);
    mjrRect all = {0, 0, r->width, r->height};
    mujoco.mjr_render(all, &r->scene, &r->context);
    mujoco.mjr_overlay(mjFONT_NORMAL, mjGRID_TOPLEFT, all, r->names, r->values, &r->context);
    mujoco.mjr_readPixels(r->pixels, NULL, all, &r->context);
}

// ---- interface ----

// Sets the model's parameters of rendering.
static void set_looks(mjModel *m, int width, int height) {
    m->vis.global.offwidth = width;
    m->vis.global.offheight = height;
    m->vis.quality.shadowsize = 2048;
    m->vis.map.shadowscale = 0.3f; // of the lamp's cone, for resolution
    m->vis.map.znear = 0.05f;      // of extent, which compose sets
    m->vis.map.zfar = 6;
    for (int i = 0; i < 3; i++) {
        m->vis.headlight.ambient[i] = 0.35f;
        m->vis.headlight.diffuse[i] = 0.3f;
        m->vis.headlight.specular[i] = 0.1f;
    }
    m->vis.headlight.active = 1;
}

struct env_render *env_render_create(const struct env *env, int width, int height,
                                     struct env_camera camera, char *err, size_t err_len) {
    CHECK(width >= ENV_RENDER_SIDE_MIN && width <= ENV_RENDER_SIDE_MAX);
    CHECK(height >= ENV_RENDER_SIDE_MIN && height <= ENV_RENDER_SIDE_MAX);
    CHECK(camera.name != NULL ? env_camera_exists(env, camera.name) : camera.zoom > 0);
    struct env_render *r = xcalloc(1, sizeof *r);
    r->offscreen = offscreen_create(err, err_len);
    if (r->offscreen == NULL) {
        env_render_destroy(&r);
        return NULL;
    }
    r->width = width;
    r->height = height;
    r->angles = camera;
    r->model = mujoco.mj_copyModel(NULL, mujoco_env_model(env));
    r->data = mujoco.mj_makeData(r->model);
    r->pixels = xcalloc((size_t)width * (size_t)height, 3);
    r->robot = find_robot(r->model);
    r->travels = can_travel(r->model, r->robot);
    r->moves = find_moving(r->model);
    paint(r->model, r->robot);
    set_looks(r->model, width, height);

    mujoco.mjv_defaultScene(&r->scene);
    mujoco.mjv_defaultOption(&r->option);
    mujoco.mjv_defaultCamera(&r->camera);
    mujoco.mjr_defaultContext(&r->context);
    r->fixed = find_camera(r->model, camera.name);
    r->camera.type = r->fixed >= 0 ? mjCAMERA_FIXED : mjCAMERA_FREE;
    r->camera.fixedcamid = r->fixed;
    r->camera.azimuth = camera.azimuth;
    r->camera.elevation = camera.elevation;
    if (!mujoco_guarded(make_scene, r)) {
        snprintf(err, err_len, "MuJoCo cannot render here: %s", mujoco_error());
    } else if (r->context.currentBuffer != mjFB_OFFSCREEN) {
        snprintf(err, err_len, "OpenGL offers no framebuffer of %d x %d here", width, height);
    } else {
        r->scene.flags[mjRND_SHADOW] = 1;
        env_render_begin(r, env);
        return r;
    }
    env_render_destroy(&r);
    return NULL;
}

void env_render_destroy(struct env_render **render) {
    struct env_render *r = *render;
    if (r == NULL) {
        return;
    }
    if (r->model != NULL) {
        mujoco.mjr_freeContext(&r->context);
        mujoco.mjv_freeScene(&r->scene);
        mujoco.mj_deleteData(r->data);
        mujoco.mj_deleteModel(r->model);
    }
    offscreen_destroy(&r->offscreen);
    free(r->moves);
    free(r->pixels);
    free(r);
    *render = NULL;
}

// 1, 2 or 5 times a power of ten.
static double round_length(double x) {
    double power = pow(10, floor(log10(x)));
    double digit = x / power;
    return power * (digit < 2 ? 1 : digit < 5 ? 2 : 5);
}

void env_render_begin(struct env_render *r, const struct env *env) {
    r->source = mujoco_env_data(env);
    if (!mujoco_guarded(copy_state, r)) {
        return; // env_render_draw reports the error
    }
    r->reach = INFINITY;
    struct box box = surround(r->model, r->data, r->travels, false);
    double centre[3] = {0};
    centre_now(centre, r);
    for (int i = 0; i < 3; i++) {
        r->aim[i] = (box.low[i] + box.high[i]) / 2 - centre[i];
    }
    r->floor = floor_height(r->model, r->data, &box);

    double aim[3];
    aim_now(aim, r);
    r->camera.distance = distance_needed(r, aim);
    r->reach = REACH * r->camera.distance;
    r->tile = round_length(r->camera.distance / 5);
}

int env_render_draw(uint8_t *rgb, struct env_render *r, const struct env *env, const char *names,
                    const char *values, char *err, size_t err_len) {
    r->source = mujoco_env_data(env);
    r->names = names;
    r->values = values;
    if (!mujoco_guarded(draw, r)) {
        snprintf(err, err_len, "MuJoCo cannot render: %s", mujoco_error());
        return -1;
    }
    size_t row = (size_t)r->width * 3;
    for (int y = 0; y < r->height; y++) {
        memcpy(rgb + (size_t)y * row, r->pixels + (size_t)(r->height - 1 - y) * row, row);
    }
    return 0;
}
