// SPDX-License-Identifier: MIT
// Opens a library with dlopen and resolves its symbols.
#include "common/base/library.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

int library_load(void *table, const struct library_symbol *symbols, size_t count,
                 const char *const files[], char *err, size_t err_len) {
    void *library = NULL;
    for (int i = 0; files[i] && !library; i++) {
        library = dlopen(files[i], RTLD_NOW | RTLD_LOCAL);
        if (!library && i == 0) { // the further ones are alternative names
            snprintf(err, err_len, "%s", dlerror());
        }
    }
    if (!library) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        if (!dlsym(library, symbols[i].name)) {
            snprintf(err, err_len, "%s has no symbol %s", files[0], symbols[i].name);
            dlclose(library);
            return -1;
        }
    }
    for (size_t i = 0; i < count; i++) {
        void *address = dlsym(library, symbols[i].name);
        memcpy((char *)table + symbols[i].at, &address, sizeof(address));
    }
    return 0;
}
