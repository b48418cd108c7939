// SPDX-License-Identifier: MIT
// The phases of a run, as the model server's core counts them.
#ifndef SPUR_MODELSERVER_CORE_PHASE_H
#define SPUR_MODELSERVER_CORE_PHASE_H

enum ms_phase {
    MS_RUNNING,
    MS_STOPPING,
    MS_STOPPED, // peers have left or their time is over, jobs are done, the state is saved
};

#endif
