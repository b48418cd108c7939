// SPDX-License-Identifier: MIT
// The only file that includes EGL: opens the first usable device.
#include "actor/env/render/offscreen.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/check.h"

#ifdef SPUR_EGL

#include <EGL/egl.h>
#include <EGL/eglext.h>

#define DEVICES_MAX 32

struct offscreen {
    EGLDisplay display;
    EGLContext context;
};

// Desktop OpenGL on one device, without a surface: the renderer draws to a framebuffer of its
// own. On failure everything is closed.
static bool open_device(struct offscreen *o, EGLDeviceEXT device) {
    o->display = eglGetPlatformDisplay(EGL_PLATFORM_DEVICE_EXT, device, NULL);
    if (o->display == EGL_NO_DISPLAY || !eglInitialize(o->display, NULL, NULL)) {
        return false;
    }
    if (eglBindAPI(EGL_OPENGL_API)) {
        o->context = eglCreateContext(o->display, EGL_NO_CONFIG_KHR, EGL_NO_CONTEXT, NULL);
        if (o->context != EGL_NO_CONTEXT) {
            if (eglMakeCurrent(o->display, EGL_NO_SURFACE, EGL_NO_SURFACE, o->context)) {
                return true;
            }
            eglDestroyContext(o->display, o->context);
        }
    }
    eglTerminate(o->display);
    return false;
}

struct offscreen *offscreen_create(char *err, size_t err_len) {
    PFNEGLQUERYDEVICESEXTPROC query_devices =
        (PFNEGLQUERYDEVICESEXTPROC)eglGetProcAddress("eglQueryDevicesEXT");
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
    eglMakeCurrent((*o)->display, EGL_NO_SURFACE, EGL_NO_SURFACE, EGL_NO_CONTEXT);
    eglDestroyContext((*o)->display, (*o)->context);
    eglTerminate((*o)->display);
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
