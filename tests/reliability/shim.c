// Stands between a program and the C library (LD_PRELOAD) for calls that change files under one folder.
//
// SHIM_ROOT     the folder; calls on paths and descriptors elsewhere pass through
// SHIM_CONTROL  a page shared by all processes, of int64: [0] 1 if armed, [1] bits of the calls that count, [2] which of
//               them fails, from 1, [3] errno, or -signal to kill the process, [4] 1 if all later ones fail too,
//               [5] calls counted so far, [6] failures so far, [8 + bit] calls seen of each kind;
//               from byte 512: the folder instead of SHIM_ROOT
// SHIM_LOG      if set, each call that has succeeded is appended to this file, with what was written:
//               "kind inode parent target-parent length offset" and names, see `records` in power_cut.py
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPEN = 1, READ_OPEN = 2, WRITE = 4, FSYNC = 8, RENAME = 16, UNLINK = 32, MKDIR = 64, LOCK = 128, CHMOD = 256,
       TRUNCATE = 512 };

static char root[PATH_MAX];
static size_t root_length;
static volatile int64_t* control;
static int log_fd = -1;

__attribute__((constructor)) static void begin(void) {
    const char* folder = getenv("SHIM_ROOT");
    const char* shared = getenv("SHIM_CONTROL");
    const char* log = getenv("SHIM_LOG");
    if (folder == NULL || realpath(folder, root) == NULL) return;
    root_length = strlen(root);
    if (shared != NULL) {
        int fd = syscall(SYS_openat, AT_FDCWD, shared, O_RDWR | O_CLOEXEC, 0);
        void* page = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (page != MAP_FAILED) control = page;
        if (fd >= 0) syscall(SYS_close, fd);
    }
    if (log != NULL) {
        log_fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        int high = log_fd < 0 ? -1 : fcntl(log_fd, F_DUPFD_CLOEXEC, 900);  // out of the way of the program's numbers
        if (high >= 0) syscall(SYS_close, log_fd), log_fd = high;
    }
}

static int is_below(const char* path, const char* folder, size_t length) {
    return length && strncmp(path, folder, length) == 0 && (path[length] == '/' || !path[length]);
}

static int below(const char* path) {
    if (control != NULL) {
        const char* folder = (const char*)control + 512;
        return is_below(path, folder, strlen(folder));
    }
    return is_below(path, root, root_length);
}


// Writes the absolute path to out; the last part need not exist.
static int absolute(int folder, const char* path, char* out) {
    char base[PATH_MAX], joined[2 * PATH_MAX + 2], part[2 * PATH_MAX + 2];
    if (path == NULL) return 0;
    if (path[0] == '/') {
        snprintf(joined, sizeof joined, "%s", path);
    } else if (folder == AT_FDCWD) {
        if (getcwd(base, sizeof base) == NULL) return 0;
        snprintf(joined, sizeof joined, "%s/%s", base, path);
    } else {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        ssize_t n = readlink(link, base, sizeof base - 1);
        if (n < 0) return 0;
        base[n] = 0;
        snprintf(joined, sizeof joined, "%s/%s", base, path);
    }
    size_t end = strlen(joined);
    while (end > 1 && joined[end - 1] == '/') joined[--end] = 0;
    snprintf(part, sizeof part, "%s", joined);
    char* slash = strrchr(part, '/');
    if (slash == NULL) return 0;
    char name[NAME_MAX + 2];
    snprintf(name, sizeof name, "%s", slash + 1);
    *slash = 0;
    char real[PATH_MAX];
    if (realpath(part[0] ? part : "/", real) == NULL) return snprintf(out, PATH_MAX, "%s", joined) > 0;
    return snprintf(out, PATH_MAX, "%s/%s", real[1] ? real : "", name) > 0;
}

static int path_of(int fd, char* out) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, out, PATH_MAX - 1);
    if (n < 0) return 0;
    out[n] = 0;
    return 1;
}

// Counts a call; returns 1, with errno set, if it is to fail.
static int fails(int kind, const char* path) {
    if (control == NULL || control[0] != 1 || !below(path)) return 0;
    __atomic_add_fetch(&control[8 + __builtin_ctz(kind)], 1, __ATOMIC_SEQ_CST);
    if (!(control[1] & kind)) return 0;
    int64_t number = __atomic_add_fetch(&control[5], 1, __ATOMIC_SEQ_CST);
    if (number != control[2] && !(control[4] && number > control[2])) return 0;
    __atomic_add_fetch(&control[6], 1, __ATOMIC_SEQ_CST);
    if (control[3] < 0) kill(getpid(), (int)-control[3]);
    errno = (int)control[3];
    return 1;
}

static ino_t inode_of(const char* path) {
    struct stat s;
    return fstatat(AT_FDCWD, path, &s, AT_SYMLINK_NOFOLLOW) == 0 ? s.st_ino : 0;
}

static ino_t parent_of(const char* path) {
    char parent[PATH_MAX];
    snprintf(parent, sizeof parent, "%s", path);
    char* slash = strrchr(parent, '/');
    if (slash == NULL) return 0;
    *slash = 0;
    return inode_of(parent);
}

static const char* name_of(const char* path) { return strrchr(path, '/') + 1; }

// One record: a line with numbers, then the two names (each ended by NUL), then the data.
static void record(char kind, ino_t inode, ino_t parent, ino_t other, const char* name, const char* other_name,
                   int64_t offset, const void* data, size_t length) {
    if (log_fd < 0) return;
    char line[256];
    int n = snprintf(line, sizeof line, "%c %llu %llu %llu %zu %lld %zu %zu\n", kind, (unsigned long long)inode,
                     (unsigned long long)parent, (unsigned long long)other, length, (long long)offset, strlen(name) + 1,
                     strlen(other_name) + 1);
    struct iovec parts[4] = {{line, n},
                             {(void*)name, strlen(name) + 1},
                             {(void*)other_name, strlen(other_name) + 1},
                             {(void*)data, length}};
    int saved = errno;
    syscall(SYS_writev, log_fd, parts, 4);
    errno = saved;
}

#define REAL(name) \
    static __typeof__(name)* real; \
    if (real == NULL) real = (__typeof__(name)*)dlsym(RTLD_NEXT, #name)

static int open_kind(int flags) { return flags & (O_WRONLY | O_RDWR | O_CREAT) ? OPEN : READ_OPEN; }

// What an open is about to do; the answer is taken after it.
#define OPENING(folder, path, flags, call)                                                            \
    char full[PATH_MAX];                                                                              \
    int known = absolute(folder, path, full) && below(full);                                          \
    if (known && fails(open_kind(flags), full)) return -1;                                            \
    int is_new = known && log_fd >= 0 && (flags & O_CREAT) && inode_of(full) == 0;                    \
    int fd = call;                                                                                    \
    if (fd >= 0 && is_new) record('c', inode_of(full), parent_of(full), 0, name_of(full), "", 0, "", 0); \
    if (fd >= 0 && known && !is_new && log_fd >= 0 && (flags & O_TRUNC))                              \
        record('t', inode_of(full), 0, 0, "", "", 0, "", 0);                                          \
    return fd

#define MODE(flags)                                     \
    mode_t mode = 0;                                    \
    if (flags & (O_CREAT | O_TMPFILE)) {                \
        va_list more;                                   \
        va_start(more, flags);                          \
        mode = va_arg(more, mode_t);                    \
        va_end(more);                                   \
    }

int open(const char* path, int flags, ...) {
    REAL(open);
    MODE(flags)
    OPENING(AT_FDCWD, path, flags, real(path, flags, mode));
}

int open64(const char* path, int flags, ...) {
    REAL(open64);
    MODE(flags)
    OPENING(AT_FDCWD, path, flags, real(path, flags, mode));
}

int openat(int folder, const char* path, int flags, ...) {
    REAL(openat);
    MODE(flags)
    OPENING(folder, path, flags, real(folder, path, flags, mode));
}

int openat64(int folder, const char* path, int flags, ...) {
    REAL(openat64);
    MODE(flags)
    OPENING(folder, path, flags, real(folder, path, flags, mode));
}

static void written(int fd, const char* full, const void* data, ssize_t length, int64_t offset) {
    struct stat s;
    if (log_fd < 0 || length <= 0 || !below(full) || fstat(fd, &s) != 0) return;
    if (offset < 0) offset = lseek(fd, 0, SEEK_CUR) - length;
    record('w', s.st_ino, 0, 0, "", "", offset, data, length);
}

#define ON_FILE(kind)                                                   \
    char full[PATH_MAX];                                                \
    int known = root_length && path_of(fd, full) && below(full);        \
    if (known && fails(kind, full)) return -1

ssize_t write(int fd, const void* data, size_t length) {
    REAL(write);
    ON_FILE(WRITE);
    ssize_t done = real(fd, data, length);
    if (known) written(fd, full, data, done, -1);
    return done;
}

ssize_t pwrite64(int fd, const void* data, size_t length, off64_t offset) {
    REAL(pwrite64);
    ON_FILE(WRITE);
    ssize_t done = real(fd, data, length, offset);
    if (known) written(fd, full, data, done, offset);
    return done;
}

ssize_t pwrite(int fd, const void* data, size_t length, off_t offset) { return pwrite64(fd, data, length, offset); }

static void synced(int fd, const char* full) {
    struct stat s;
    if (log_fd < 0 || !below(full) || fstat(fd, &s) != 0) return;
    if (S_ISDIR(s.st_mode)) {
        record('d', s.st_ino, 0, 0, "", "", 0, "", 0);
        return;
    }
    // The whole content, since a file may also be written through memory.
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int reader = syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC, 0);
    void* content = s.st_size && reader >= 0 ? mmap(NULL, s.st_size, PROT_READ, MAP_SHARED, reader, 0) : MAP_FAILED;
    record('s', s.st_ino, 0, 0, "", "", 0, content == MAP_FAILED ? "" : content, content == MAP_FAILED ? 0 : s.st_size);
    if (content != MAP_FAILED) munmap(content, s.st_size);
    if (reader >= 0) syscall(SYS_close, reader);
}

int fsync(int fd) {
    REAL(fsync);
    ON_FILE(FSYNC);
    int done = real(fd);
    if (known && done == 0) synced(fd, full);
    return done;
}

int fdatasync(int fd) {
    REAL(fdatasync);
    ON_FILE(FSYNC);
    int done = real(fd);
    if (known && done == 0) synced(fd, full);
    return done;
}

int ftruncate64(int fd, off64_t length) {
    REAL(ftruncate64);
    ON_FILE(TRUNCATE);
    int done = real(fd, length);
    struct stat s;
    if (known && done == 0 && fstat(fd, &s) == 0) record('t', s.st_ino, 0, 0, "", "", length, "", 0);
    return done;
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

int flock(int fd, int operation) {
    REAL(flock);
    ON_FILE(LOCK);
    (void)known;
    return real(fd, operation);
}

int renameat(int from_folder, const char* from, int to_folder, const char* to) {
    REAL(renameat);
    char source[PATH_MAX], target[PATH_MAX];
    int known = absolute(from_folder, from, source) && absolute(to_folder, to, target) && below(target);
    if (known && fails(RENAME, target)) return -1;
    ino_t inode = known ? inode_of(source) : 0, parent = known ? parent_of(source) : 0;
    int done = real(from_folder, from, to_folder, to);
    if (known && done == 0) record('r', inode, parent, parent_of(target), name_of(source), name_of(target), 0, "", 0);
    return done;
}

int rename(const char* from, const char* to) { return renameat(AT_FDCWD, from, AT_FDCWD, to); }

int unlinkat(int folder, const char* path, int flags) {
    REAL(unlinkat);
    char full[PATH_MAX];
    int known = absolute(folder, path, full) && below(full);
    if (known && fails(UNLINK, full)) return -1;
    ino_t inode = known ? inode_of(full) : 0, parent = known ? parent_of(full) : 0;
    int done = real(folder, path, flags);
    if (known && done == 0) record('u', inode, parent, 0, name_of(full), "", 0, "", 0);
    return done;
}

int unlink(const char* path) { return unlinkat(AT_FDCWD, path, 0); }

int rmdir(const char* path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int mkdirat(int folder, const char* path, mode_t mode) {
    REAL(mkdirat);
    char full[PATH_MAX];
    int known = absolute(folder, path, full) && below(full);
    if (known && fails(MKDIR, full)) return -1;
    int done = real(folder, path, mode);
    if (known && done == 0) record('m', inode_of(full), parent_of(full), 0, name_of(full), "", 0, "", 0);
    return done;
}

int mkdir(const char* path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

int fchmodat(int folder, const char* path, mode_t mode, int flags) {
    REAL(fchmodat);
    char full[PATH_MAX];
    if (absolute(folder, path, full) && below(full) && fails(CHMOD, full)) return -1;
    return real(folder, path, mode, flags);
}

int chmod(const char* path, mode_t mode) { return fchmodat(AT_FDCWD, path, mode, 0); }
