// SPDX-License-Identifier: MIT
// The only file that includes EGL: opens the first usable device.
#include "actor/env/render/offscreen.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/library.h"

#ifdef SPUR_EGL

#include <EGL/egl.h>
#include <EGL/eglext.h>

#define DEVICES_MAX 32

// clang-format off
#define EGL_SYMBOLS(X)                                                                             \
    X(eglBindAPI)                                                                                  \
    X(eglCreateContext)                                                                            \
    X(eglDestroyContext)                                                                           \
    X(eglGetPlatformDisplay)                                                                       \
    X(eglGetProcAddress)                                                                           \
    X(eglInitialize)                                                                               \
    X(eglMakeCurrent)                                                                              \
    X(eglTerminate)
// clang-format on

// Loaded by the first offscreen_create.
static struct egl_library { EGL_SYMBOLS(LIBRARY_POINTER) } egl;

struct offscreen {
    EGLDisplay display;
    EGLContext context;
};

// Desktop OpenGL on one device, without a surface: the renderer draws to a framebuffer of its
// own. On failure everything is closed.
static bool open_device(struct offscreen *o, EGLDeviceEXT device) {
    o->display = egl.eglGetPlatformDisplay(EGL_PLATFORM_DEVICE_EXT, device, NULL);
    if (o->display == EGL_NO_DISPLAY || !egl.eglInitialize(o->display, NULL, NULL)) {
        return false;
    }
    if (egl.eglBindAPI(EGL_OPENGL_API)) {
        o->context = egl.eglCreateContext(o->display, EGL_NO_CONFIG_KHR, EGL_NO_CONTEXT, NULL);
        if (o->context != EGL_NO_CONTEXT) {
            if (egl.eglMakeCurrent(o->display, EGL_NO_SURFACE, EGL_NO_SURFACE, o->context)) {
                return true;
            }
            egl.eglDestroyContext(o->display, o->context);
        }
    }
    egl.eglTerminate(o->display);
    return false;
}

static int load_egl(char *err, size_t err_len) {
    static const struct library_symbol symbols[] = {
#define ROW(symbol) LIBRARY_ROW(egl_library, symbol)
        EGL_SYMBOLS(ROW)
#undef ROW
    };
    static const char *const files[] = {"libEGL.so.1", NULL};
    char why[256];
    if (egl.eglInitialize || library_load(&egl, symbols, sizeof(symbols) / sizeof(symbols[0]),
                                          files, why, sizeof(why)) == 0) {
        return 0;
    }
    snprintf(err, err_len,
             "drawing needs EGL, which cannot be loaded (%s): install it (Debian: libegl1)", why);
    return -1;
}

struct offscreen *offscreen_create(char *err, size_t err_len) {
    if (load_egl(err, err_len) < 0) {
        return NULL;
    }
    PFNEGLQUERYDEVICESEXTPROC query_devices =
        (PFNEGLQUERYDEVICESEXTPROC)egl.eglGetProcAddress("eglQueryDevicesEXT");
    EGLDeviceEXT devices[DEVICES_MAX];
    EGLint count = 0;
    if (query_devices == NULL || !query_devices(DEVICES_MAX, devices, &count)) {
        count = 0;
    }
    struct offscreen *o = xcalloc(1, sizeof *o);
    for (int i = 0; i < count; i++) {
        if (open_device(o, devices[i])) {
            return o;
        }
    }
    free(o);
    snprintf(err, err_len,
             "EGL offers no OpenGL here (%d devices tried); Mesa's software renderer is in "
             "Debian's packages libegl-mesa0 and libgl1-mesa-dri",
             count);
    return NULL;
}

void offscreen_destroy(struct offscreen **o) {
    if (*o == NULL) {
        return;
    }
    egl.eglMakeCurrent((*o)->display, EGL_NO_SURFACE, EGL_NO_SURFACE, EGL_NO_CONTEXT);
    egl.eglDestroyContext((*o)->display, (*o)->context);
    egl.eglTerminate((*o)->display);
    free(*o);
    *o = NULL;
}

#else

struct offscreen *offscreen_create(char *err, size_t err_len) {
    snprintf(err, err_len,
             "this program was built without EGL, which is required to render; install Debian's "
             "packages libegl-dev and libgl1-mesa-dri, then: make clean && make build");
    return NULL;
}

void offscreen_destroy(struct offscreen **o) {
    CHECK(*o == NULL);
}

#endif
