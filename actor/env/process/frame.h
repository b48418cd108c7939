// SPDX-License-Identifier: MIT
// The protocol between an actor and an environment in another process: frames on two pipes.
//
// A frame consists of a header (type and length of the payload, eight bytes) and the payload.
// Integers are unsigned, reals are IEEE doubles, all little-endian and without padding. Each
// request has one reply; the reply to CLOSE is the end of the process.
//
//   request  payload                       reply        payload
//   MAKE     u32 version, u32 flags        MADE         see below
//   RESET    u64 seed                      OBSERVATION  u32 flags, u32 0, f64 reward, f64 obs[]
//   STEP     f64 action[]                  OBSERVATION
//   RENDER   none                          PICTURE      u32 width, u32 height, u8 rgb[]
//   CLOSE    none                          none
//   any                                    ERROR        text
//
//   MADE: u32 version, u32 obs_dim, u32 act_dim, u32 horizon (0: none), f64 frames per second
//   (0: unknown), f64 low[act_dim], f64 high[act_dim], u32 length of the name, name, note.
//   With FRAME_MAKE_RANGES the termination rule precedes the note: u32 count, then for each range
//   u32 index, u32 0, f64 low, f64 high.
//
// An ERROR in reply to STEP drops the episode; RESET begins the next one in the same process.
#ifndef SPUR_ACTOR_ENV_PROCESS_FRAME_H
#define SPUR_ACTOR_ENV_PROCESS_FRAME_H

#define FRAME_VERSION 1

// Descriptors of the child.
#define FRAME_REQUEST_FD 3
#define FRAME_REPLY_FD 4

#define FRAME_HEADER 8
#define FRAME_REQUEST_MAX 1024 // bytes of a payload
#define FRAME_REPLY_MAX 65536  // of all replies except PICTURE
#define FRAME_SIDE_MAX 4096    // width or height of a picture

#define FRAME_MAKE_PICTURES 1u // flags of MAKE: RENDER will follow
#define FRAME_MAKE_RANGES 2u // MADE contains the termination rule; sent to plug-ins' processes only
#define FRAME_TERMINATED 1u  // flags of OBSERVATION
#define FRAME_TRUNCATED 2u

enum frame_type {
    FRAME_MAKE = 1,
    FRAME_RESET = 2,
    FRAME_STEP = 3,
    FRAME_RENDER = 4,
    FRAME_CLOSE = 5,
    FRAME_MADE = 16,
    FRAME_OBSERVATION = 17,
    FRAME_PICTURE = 18,
    FRAME_ERROR = 19,
};

#endif
