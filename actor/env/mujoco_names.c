// SPDX-License-Identifier: MIT
// The table is the difference between the schemas (mj_printSchema) of MuJoCo 2.2.2 and 3.17.0, and
// what is not in the schema: the elements frame and replicate, and keywords.
#include "actor/env/mujoco_names.h"

#include <stdio.h>
#include <string.h>

// clang-format off
static const char elements[] =
    "attach camprojection config contact dcmotor deformable distance e_kinetic e_potential edge "
    "elasticity extension flex flexcomp flexstrain flexvert frame fromto insidesite instance "
    "jointactuatorfrc layer model normal orientation pid plugin replicate tactile "
    "tendonactuatorfrc";

static const char keywords[] = "implicitfast sdf usercam";

// Element and attributes; "": of sensors and actuators of all kinds.
static const char *const attributes[][2] = {
    {"", "delay interp interval nsample"},
    {"body", "fuse gravcomp simple sleep"},
    {"camera", "focal focalpixel output principal principalpixel projection resolution sensorsize"},
    {"compiler", "alignfree assetdir conflict passthrough savecanonical savecompiled saveinertial"},
    {"composite", "curve initial quat size vertex"},
    {"connect", "site1 site2"},
    {"cylinder", "armature damping"},
    {"damper", "armature damping"},
    {"fixed", "actuatorfrclimited actuatorfrcrange armature"},
    {"flag", "autoreset damper diagexact eulerdamp invdiscrete ipc island midphase nativeccd sleep "
             "spring"},
    {"freejoint", "align"},
    {"general", "actdim actearly armature damping ffrange inheritrange input velrange"},
    {"geom", "adhesion surfacevel"},
    {"global", "bvactive cameraid ellipsoidinertia orthographic realtime"},
    {"hfield", "content_type elevation"},
    {"intvelocity", "actlimited armature damping dampratio inheritrange kv"},
    {"joint", "actuatorfrclimited actuatorfrcrange actuatorgravcomp"},
    {"light", "bulbradius intensity range softness texture type"},
    {"material", "metallic roughness"},
    {"mesh", "builtin content_type inertia material maxhullvert params"},
    {"motor", "armature damping"},
    {"muscle", "armature damping tausmooth"},
    {"option", "actuatorgroupdisable ccd_iterations ccd_tolerance ls_iterations ls_tolerance "
               "o_friction sdf_initpoints sdf_iterations sleep_tolerance"},
    {"pair", "adhesion solreffriction"},
    {"pin", "grid gridrange id range"},
    {"position", "armature damping dampratio inheritrange kv timeconst"},
    {"rangefinder", "camera data"},
    {"rgba", "bv bvactive frustum"},
    {"scale", "frustum"},
    {"site", "mesh"},
    {"size", "memory"},
    {"spatial", "actuatorfrclimited actuatorfrcrange armature"},
    {"texture", "class colorspace content_type embed nchannel"},
    {"velocity", "armature damping"},
    {"weld", "site1 site2"},
};
// clang-format on

static bool contains(const char *words, const char *word) {
    size_t len = strlen(word);
    for (const char *at = words; len > 0 && (at = strstr(at, word)) != NULL; at += len) {
        if ((at == words || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0')) {
            return true;
        }
    }
    return false;
}

static bool has_attribute(const char *element, const char *attribute) {
    for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++) {
        const char *of = attributes[i][0];
        if ((of[0] == '\0' || strcmp(of, element) == 0) && contains(attributes[i][1], attribute)) {
            return true;
        }
    }
    return false;
}

// The text in quotes after a phrase of the error; "": none.
static void quoted_after(char out[64], const char *error, const char *phrase) {
    const char *at = strstr(error, phrase);
    out[0] = '\0';
    if (at != NULL) {
        at += strlen(phrase);
        snprintf(out, 64, "%.*s", (int)strcspn(at, "'"), at);
    }
}

bool mujoco_names_newer(char *name, size_t name_len, const char *error) {
    char element[64], attribute[64], keyword[64];
    quoted_after(element, error, "Element '");
    quoted_after(attribute, error, "unrecognized attribute: '");
    quoted_after(keyword, error, "invalid keyword: '");
    if (attribute[0] != '\0') {
        snprintf(name, name_len, "<%s %s>", element, attribute);
        return has_attribute(element, attribute);
    }
    if (keyword[0] != '\0') {
        snprintf(name, name_len, "%s", keyword);
        return contains(keywords, keyword);
    }
    snprintf(name, name_len, "<%s>", element);
    return strstr(error, "unrecognized element") != NULL && contains(elements, element);
}
