// SPDX-License-Identifier: MIT
// `spur status`: prints the status of a run or of one of its processes.
#include "cli/status/status.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/run/endpoints.h"
#include "cli/status/status_client.h"
#include "common/base/check.h"

enum { TIMEOUT_MS = 3000 };

static const char help[] =
    "usage: spur status [ENDPOINT|RUN_DIR] [--keys PATH] [--json]\n"
    "\n"
    "Prints the status of a running system: processes, what each waits for and why, data, model\n"
    "and policy.\n"
    "\n"
    "  RUN_DIR   a run that is active on this machine; default: runs/latest\n"
    "  ENDPOINT  a process of a run: tcp://HOST:PORT or ipc://PATH. The model server's status\n"
    "            covers the whole run, another process's only itself\n"
    "  --keys    of an ENDPOINT with tcp: RUN_DIR/token of a run on this machine, or the key of "
    "an\n"
    "            operator (spur keys add NAME --role operator)\n"
    "  --json    print JSON, for programs; see docs/status.md\n";

static const struct option options[] = {
    {"json", no_argument, NULL, 'j'},
    {"keys", required_argument, NULL, 'k'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

const char *status_peer_state(enum wire_peer_state state) {
    switch (state) {
    case WIRE_PEER_CONNECTED:
        return "connected";
    case WIRE_PEER_WAITING:
        return "waiting";
    case WIRE_PEER_LOST:
        return "lost";
    case WIRE_PEER_LEFT:
        return "left";
    }
    return "unknown"; // not connected yet
}

const char *status_role(enum wire_role role) {
    switch (role) {
    case WIRE_ROLE_ACTOR:
        return "actor";
    case WIRE_ROLE_EVALUATOR:
        return "evaluator";
    case WIRE_ROLE_LEARNER:
        return "learner";
    }
    return "unknown";
}

int cmd_status(int argc, char **argv) {
    bool json = false;
    const char *keys = NULL;
    for (int option; (option = cli_next_option(argc, argv, options)) != -1;) {
        switch (option) {
        case 'j':
            json = true;
            break;
        case 'k':
            keys = optarg;
            break;
        case 'h':
            fputs(help, stdout);
            return EXIT_CODE_OK;
        default:
            return EXIT_CODE_USAGE;
        }
    }
    if (argc - optind > 1) {
        return cli_usage_error(argv, "expected at most one endpoint or run directory, found %d",
                               argc - optind);
    }
    const char *where = optind < argc ? argv[optind] : "runs/latest";
    char endpoint[NET_ENDPOINT_MAX], of_run[PATH_MAX] = "", err[1024];
    if (strstr(where, "://")) {
        snprintf(endpoint, sizeof(endpoint), "%s", where);
    } else if (endpoints_read(endpoint, of_run, where, err, sizeof(err)) < 0) {
        return cli_fail(EXIT_CODE_UNAVAILABLE,
                        "name the run directory or the address of a process: spur status "
                        "tcp://HOST:PORT",
                        "%s", err);
    }
    struct status_client *client =
        status_client_create(endpoint, keys ? keys : of_run, err, sizeof(err));
    if (!client) {
        return cli_fail(EXIT_CODE_USAGE, NULL, "%s", err);
    }
    const struct wire_status *status;
    int rc = status_client_status(client, &status, TIMEOUT_MS, err, sizeof(err));
    if (rc < 0) {
        rc = cli_fail(rc == -EACCES ? EXIT_CODE_DENIED : EXIT_CODE_UNAVAILABLE, NULL, "%s", err);
    } else if (json) {
        status_print_json(status, stdout);
    } else {
        status_print_text(status, stdout);
    }
    status_client_destroy(&client);
    return rc;
}
