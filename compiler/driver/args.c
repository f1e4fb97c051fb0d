/* Reads the command line by one table of commands and one of options; prints --help from the same tables. */
#include "driver/args.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    M_CHECK = 1u << CMD_CHECK, M_TRAIN = 1u << CMD_TRAIN, M_EVAL = 1u << CMD_EVAL, M_RUN = 1u << CMD_RUN,
    M_BUILD = 1u << CMD_BUILD, M_AUTOTUNE = 1u << CMD_AUTOTUNE, M_INSPECT = 1u << CMD_INSPECT, M_EXPLAIN = 1u << CMD_EXPLAIN, M_DOCTOR = 1u << CMD_DOCTOR,
    M_CACHE = 1u << CMD_CACHE,
    M_CODE = M_TRAIN | M_EVAL | M_RUN | M_BUILD,          /* commands that make code */
    M_COMPILE = M_CODE | M_CHECK | M_INSPECT | M_AUTOTUNE,            /* commands that read a program */
};

static const struct {
    const char *name, *words, *about;
    size_t least, most; /* words */
} commands[CMD_COUNT] = {
    [CMD_CHECK] = {"check", "PROGRAM.csc", "reads a program and reports every mistake in it", 1, 1},
    [CMD_TRAIN] = {"train", "PROGRAM.csc", "trains a model by the recipe in its program", 1, 1},
    [CMD_EVAL] = {"eval", "PROGRAM.csc", "measures loss and metrics on the test data", 1, 1},
    [CMD_RUN] = {"run", "PROGRAM.csc FILE...", "codes, denoises or classifies files (PNG, JPEG, NPY, IDX)", 1, SIZE_MAX},
    [CMD_BUILD] = {"build", "PROGRAM.csc", "writes a shared library, MODEL.so, and its header, MODEL.h", 1, 1},
    [CMD_AUTOTUNE] = {"autotune", "PROGRAM.csc", "measures tiles for the program's products on this machine, writes the best to PROGRAM.tiles, which train, eval, run and build then use", 1, 1},
    [CMD_INSPECT] = {"inspect", "FILE", "shows a program's parameters and layers, a checkpoint's tensors, or a library's description", 1, 1},
    [CMD_EXPLAIN] = {"explain", "[CODE...]", "explains diagnostics; without a code, lists all", 0, SIZE_MAX},
    [CMD_DOCTOR] = {"doctor", "", "says what was found on this machine and what is missing", 0, 0},
    [CMD_CACHE] = {"cache", "info|clear", "says what is kept between runs (compiled code), or removes it", 1, 1},
};
const char *args_command_name(Command c) { return commands[c].name; }

typedef enum Opt {
    O_HELP, O_SET, O_TUNE, O_MODEL, O_WEIGHTS, O_DATA, O_EPOCHS, O_BATCH, O_SEED, O_RESUME, O_OUT, O_STEPS, O_INPUT, O_OUTPUT,
    O_EMBED, O_ATOMS, O_CPU, O_THREADS, O_EMIT, O_STOP, O_TIME, O_REMARKS, O_JSON, O_DEVICE, O_PRECISION, O_TARGET, O_DIRECT,
} Opt;

static const struct {
    const char *name;
    char letter;
    const char *value; /* what follows; NULL: nothing */
    unsigned where;
    const char *about;
} table[] = {
    [O_HELP] = {"help", 'h', NULL, ~0u, "prints this"},
    [O_SET] = {"set", 0, "NAME=VALUE", M_COMPILE, "overrides a model's argument, or binds a free dimension"},
    [O_TUNE] = {"tune", 0, "NAME=VALUE", M_COMPILE, "changes a tunable; nothing is compiled again"},
    [O_MODEL] = {"model", 0, "NAME", M_COMPILE, "which model of the file (default: its last)"},
    [O_WEIGHTS] = {"weights", 'w', "FILE", M_CODE | M_INSPECT, "parameters, a .safetensors file"},
    [O_DATA] = {"data", 0, "FOLDER", M_TRAIN | M_EVAL, "takes the place of the path in the program's data"},
    [O_EPOCHS] = {"epochs", 0, "N", M_TRAIN, "takes the place of the program's epochs"},
    [O_BATCH] = {"batch", 0, "N", M_TRAIN | M_EVAL | M_RUN, "samples at once"},
    [O_SEED] = {"seed", 0, "N", M_TRAIN | M_EVAL | M_RUN | M_BUILD, "seed of all random numbers (default 1)"},
    [O_RESUME] = {"resume", 0, NULL, M_TRAIN, "goes on from the last checkpoint of the run folder, bit by bit"},
    [O_OUT] = {"out", 0, "FOLDER", M_TRAIN, "run folder: checkpoints and metrics (default runs/MODEL)"},
    [O_STEPS] = {"steps", 0, "N", M_TRAIN, "stops after this many steps in all"},
    [O_INPUT] = {"input", 'i', "[NAME=]FILE", M_RUN, "a file to read, for the input NAME; may be given several times"},
    [O_OUTPUT] = {"output", 'o', "PATH", M_RUN | M_BUILD | M_CHECK, "where the result goes (run: a folder for several files)"},
    [O_EMBED] = {"embed-weights", 0, NULL, M_BUILD, "puts the weights into the library"},
    [O_ATOMS] = {"atoms", 0, "FILE.png", M_INSPECT | M_TRAIN, "writes a picture of the learned atoms (train: the best, not the last)"},
    [O_CPU] = {"cpu", 0, "NAME", M_CODE | M_CHECK | M_AUTOTUNE, "native, x86-64-v2, x86-64-v3, x86-64-v4, x86-64-v4+amx, aarch64 (default: native; build: x86-64-v3, or several levels: a,b)"},
    [O_THREADS] = {"threads", 'j', "N", M_TRAIN | M_EVAL | M_RUN, "threads (default: as many as the machine has)"},
    [O_EMIT] = {"emit", 0, "WHAT,...", M_CHECK | M_BUILD, "prints ast, op, loop, llvm, asm, cuda, ptx, or writes obj, cubin"},
    [O_STOP] = {"stop-after", 0, "PASS", M_CHECK | M_BUILD, "stops after a pass (--time-passes lists them)"},
    [O_TIME] = {"time-passes", 0, NULL, M_CODE | M_CHECK, "says how long each pass took"},
    [O_REMARKS] = {"remarks", 0, NULL, M_CODE | M_CHECK, "says what was fused, what was not and why, and the memory a run needs"},
    [O_JSON] = {"json", 0, NULL, M_COMPILE | M_DOCTOR | M_EXPLAIN | M_CACHE, "output for machines"},
    [O_DEVICE] = {"device", 0, "NAME", M_TRAIN | M_EVAL | M_RUN, "cpu, cuda, cuda:N or auto (default: cpu)"},
    [O_TARGET] = {"target", 0, "NAME", M_BUILD | M_CHECK, "cpu, or cuda:sm_90a,sm_80: code for these GPUs, and PTX for later ones (default: cpu)"},
    [O_PRECISION] = {"precision", 0, "NAME", M_CODE | M_CHECK, "of the inputs of products on a GPU: float32, tf32 or bf16 (default: float32)"},
    [O_DIRECT] = {"direct", 0, NULL, M_CODE | M_CHECK | M_AUTOTUNE, "no convolution by Winograd's transforms, which are faster and round more"},
};
enum { NOPT = sizeof table / sizeof *table };
static const char *const emit_names[EMIT_COUNT] = {"ast", "op", "loop", "llvm", "asm", "obj", "cuda", "ptx", "cubin"};

static void print_commands(FILE *out) {
    fprintf(out, "cscc: the compiler of csc, a language for unrolled sparse networks\n\nusage: cscc COMMAND [options]\n\n");
    for (int c = 0; c < CMD_COUNT; c++) fprintf(out, "  %-8s %s\n", commands[c].name, commands[c].about);
    fprintf(out, "\n  cscc COMMAND --help    says what it takes\n  cscc --version\n\n"
                 "exit codes: 0 done, 1 a mistake in the program, the data or the command line, 2 the machine's trouble (files, memory),\n"
                 "            3 a bug of the compiler, 130 interrupted\n");
}

static void print_help(FILE *out, Command c) {
    fprintf(out, "usage: cscc %s %s%s[options]\n\n%s\n\n", commands[c].name, commands[c].words, *commands[c].words ? " " : "", commands[c].about);
    for (int i = 0; i < NOPT; i++) {
        if (!(table[i].where & (1u << c))) continue;
        char left[80];
        snprintf(left, sizeof left, "%s%c%s--%s%s%s", table[i].letter ? "-" : "  ", table[i].letter ? table[i].letter : ' ',
                 table[i].letter ? ", " : " ", table[i].name, table[i].value ? " " : "", table[i].value ? table[i].value : "");
        fprintf(out, "  %-28s %s\n", left, table[i].about);
    }
}

static bool read_count(Cx *cx, const char *name, const char *text, int64_t least, int64_t *out) {
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (!*text || *end || errno || v < least) {
        diag_error(cx, E_OPTION, (Span){0}, "--%s needs a whole number, %lld or more, and got '%s'", name, (long long)least, text);
        return false;
    }
    *out = v;
    return true;
}

static void push_pair(Cx *cx, const char *name, const char *text, BuildSet **list, size_t *n) {
    const char *eq = strchr(text, '=');
    if (!eq || eq == text || !eq[1]) {
        diag_error(cx, E_OPTION, (Span){0}, "--%s needs NAME=VALUE, and got '%s'", name, text);
        return;
    }
    *list = arena_grow(cx->keep, *list, *n * sizeof **list, (*n + 1) * sizeof **list);
    (*list)[(*n)++] = (BuildSet){arena_strndup(cx->keep, text, (size_t)(eq - text)), eq + 1};
}

static void push_text(Cx *cx, const char *text, const char ***list, size_t *n) {
    *list = arena_grow(cx->keep, *list, *n * sizeof **list, (*n + 1) * sizeof **list);
    (*list)[(*n)++] = text;
}

static void read_emit(Cx *cx, const char *text, Options *o) {
    while (*text) {
        size_t n = strcspn(text, ",");
        const char *word = arena_strndup(cx->keep, text, n);
        int e = 0;
        while (e < EMIT_COUNT && strcmp(word, emit_names[e])) e++;
        if (e < EMIT_COUNT) o->emit[e] = o->any_emit = true;
        else {
            Diag *d = diag_error(cx, E_OPTION, (Span){0}, "--emit knows no '%s'", word);
            diag_help(cx, d, "ast, op, loop, llvm, asm, obj, cuda, ptx, cubin");
        }
        text += n + (text[n] == ',');
    }
}

static void read_precision(Cx *cx, const char *v, Options *o) {
    static const char *const names[] = {"float32", "tf32", "bf16"}; /* as SchedPrecision */
    for (int i = 0; i < 3; i++)
        if (!strcmp(v, names[i])) {
            o->precision = i;
            return;
        }
    Diag *d = diag_error(cx, E_OPTION, (Span){0}, "--precision knows no '%s'", v);
    diag_help(cx, d, "float32, tf32, bf16");
}

static void take(Cx *cx, Options *o, Opt k, const char *v) {
    int64_t n = 0;
    switch (k) {
    case O_HELP: break;
    case O_SET: push_pair(cx, "set", v, &o->set, &o->nset); break;
    case O_TUNE: push_pair(cx, "tune", v, &o->tune, &o->ntune); break;
    case O_MODEL: o->model = v; break;
    case O_WEIGHTS: o->weights = v; break;
    case O_DATA: o->data = v; break;
    case O_EPOCHS: o->has_epochs = read_count(cx, "epochs", v, 0, &o->epochs); break;
    case O_BATCH: o->has_batch = read_count(cx, "batch", v, 1, &o->batch); break;
    case O_SEED: o->has_seed = read_count(cx, "seed", v, 0, &o->seed); break;
    case O_STEPS: read_count(cx, "steps", v, 1, &o->most_steps); break;
    case O_RESUME: o->resume = true; break;
    case O_OUT: o->runs = v; break;
    case O_INPUT: push_text(cx, v, &o->inputs, &o->ninputs); break;
    case O_OUTPUT: o->output = v; break;
    case O_EMBED: o->embed_weights = true; break;
    case O_ATOMS: o->atoms = v; break;
    case O_CPU: o->cpu = v; break;
    case O_THREADS:
        if (read_count(cx, "threads", v, 1, &n)) o->threads = n > 1024 ? 1024 : (int)n;
        break;
    case O_EMIT: read_emit(cx, v, o); break;
    case O_STOP: o->stop_after = v; break;
    case O_TIME: o->time_passes = true; break;
    case O_REMARKS: o->remarks = true; break;
    case O_JSON: o->json = true; break;
    case O_DEVICE: o->device = v; break;
    case O_TARGET: o->target = v; break;
    case O_PRECISION: read_precision(cx, v, o); break;
    case O_DIRECT: o->direct = true; break;
    }
}

static int find_option(const char *word, size_t n) {
    for (int i = 0; i < NOPT; i++)
        if (strlen(table[i].name) == n && memcmp(table[i].name, word, n) == 0) return i;
    return -1;
}

static void unknown_option(Cx *cx, Command c, const char *word) {
    Diag *d = diag_error(cx, E_OPTION, (Span){0}, "'cscc %s' has no option '%s'", commands[c].name, word);
    const char *names[NOPT];
    size_t n = 0;
    for (int i = 0; i < NOPT; i++)
        if (table[i].where & (1u << c)) names[n++] = table[i].name;
    const char *bare = arena_strndup(cx->keep, word + strspn(word, "-"), strcspn(word + strspn(word, "-"), "="));
    const char *near = diag_nearest(bare, names, n);
    if (near) diag_help(cx, d, "did you mean '--%s'?", near);
    else diag_help(cx, d, "cscc %s --help lists its options", commands[c].name);
}

bool args_read(Cx *cx, int argc, char **argv, Options *o, int *exit_code) {
    *o = (Options){.seed = 1};
    *exit_code = 1;
    if (argc < 2) {
        print_commands(stderr);
        return false;
    }
    const char *first = argv[1];
    if (!strcmp(first, "--help") || !strcmp(first, "-h") || (!strcmp(first, "help") && argc == 2)) {
        print_commands(stdout);
        *exit_code = 0;
        return false;
    }
    if (!strcmp(first, "--version")) {
        printf("cscc %s\n", CSC_VERSION);
        *exit_code = 0;
        return false;
    }
    int at = 2;
    if (!strcmp(first, "help")) first = argv[2], argv[2] = "--help"; /* cscc help train */
    int c = 0;
    while (c < CMD_COUNT && strcmp(first, commands[c].name)) c++;
    if (c == CMD_COUNT) {
        const char *names[CMD_COUNT];
        for (int i = 0; i < CMD_COUNT; i++) names[i] = commands[i].name;
        Diag *d = diag_error(cx, E_OPTION, (Span){0}, "there is no command '%s'", first);
        const char *near = diag_nearest(first, names, CMD_COUNT);
        if (near) diag_help(cx, d, "did you mean '%s'?", near);
        else diag_help(cx, d, "cscc --help lists the commands");
        return false;
    }
    o->command = (Command)c;
    bool only_words = false;
    for (; at < argc; at++) {
        const char *w = argv[at];
        if (only_words || w[0] != '-' || !w[1]) {
            push_text(cx, w, &o->words, &o->nwords);
            continue;
        }
        if (!strcmp(w, "--")) {
            only_words = true;
            continue;
        }
        int k = -1;
        const char *value = NULL;
        if (w[1] == '-') {
            size_t n = strcspn(w + 2, "=");
            k = find_option(w + 2, n);
            if (w[2 + n] == '=') value = w + 3 + n;
        } else {
            for (int i = 0; i < NOPT && k < 0; i++)
                if (table[i].letter == w[1]) k = i;
            if (w[2]) value = w + 2 + (w[2] == '=');
        }
        if (k < 0 || !(table[k].where & (1u << c))) {
            unknown_option(cx, o->command, w);
            /* its value, if it has one, would be taken for a file */
            if (k >= 0 && table[k].value && !value) at++;
            continue;
        }
        if (k == O_HELP) {
            print_help(stdout, o->command);
            *exit_code = 0;
            return false;
        }
        if (!table[k].value && value) diag_error(cx, E_OPTION, (Span){0}, "--%s takes no value", table[k].name);
        else if (table[k].value && !value) {
            if (at + 1 < argc) value = argv[++at];
            else diag_error(cx, E_OPTION, (Span){0}, "--%s needs a value: %s", table[k].name, table[k].value);
        }
        if (value || !table[k].value) take(cx, o, (Opt)k, value);
    }
    if (cx->errors) return false;
    if (o->nwords < commands[c].least || o->nwords > commands[c].most) {
        Diag *d;
        if (o->nwords < commands[c].least) d = diag_error(cx, E_OPTION, (Span){0}, "'cscc %s' needs %s", commands[c].name, commands[c].words);
        else d = diag_error(cx, E_OPTION, (Span){0}, "'cscc %s' cannot do with '%s' as well", commands[c].name, o->words[commands[c].most]);
        diag_help(cx, d, "usage: cscc %s %s%s[options]", commands[c].name, commands[c].words, *commands[c].words ? " " : "");
        return false;
    }
    return true;
}
