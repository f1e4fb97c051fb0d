/* The words of the text form, shared by printer and reader. */
#ifndef CSC_LOOP_WORDS_H
#define CSC_LOOP_WORDS_H
#include "loop/loop.h"

/* Operations written name(arguments); those with a width of their own as name:width(...). */
typedef struct Word {
    const char *name;
    LxKind kind;
    char form; /* 1, 2, 3: that many floats; i: two integers; others by name in the reader */
} Word;

static const Word loop_words[] = {
    {"imin", LX_IMIN, 'i'}, {"imax", LX_IMAX, 'i'}, {"iselect", LX_ISELECT, 's'}, {"itab", LX_ITAB, 't'}, {"f2i", LX_F2I, 'f'},
    {"lanes", LX_LANES, 'l'}, {"load", LX_LOAD, 'm'}, {"gather", LX_GATHER, 'g'}, {"aligned", LX_LOAD, 'a'}, {"lane", LX_LANE, 'e'}, {"pack", LX_PACK, 'k'}, {"splat", LX_SPLAT, 'p'}, {"i2f", LX_I2F, 'c'},
    {"noise", LX_NOISE, 'n'}, {"normal", LX_NOISE, 'n'}, {"neg", LX_NEG, '1'}, {"abs", LX_ABS, '1'}, {"sqrt", LX_SQRT, '1'},
    {"floor", LX_FLOOR, '1'}, {"bf16", LX_BF16, '1'}, {"exp", LX_EXP, '1'}, {"log", LX_LOG, '1'}, {"tanh", LX_TANH, '1'}, {"sin", LX_SIN, '1'}, {"cos", LX_COS, '1'},
    {"hsum", LX_HSUM, '1'}, {"hmax", LX_HMAX, '1'}, {"add", LX_ADD, '2'}, {"sub", LX_SUB, '2'}, {"mul", LX_MUL, '2'}, {"div", LX_DIV, '2'},
    {"pow", LX_POW, '2'}, {"max", LX_MAX, '2'}, {"min", LX_MIN, '2'}, {"lt", LX_LT, '2'}, {"le", LX_LE, '2'}, {"eq", LX_EQ, '2'},
    {"fma", LX_FMA, '3'}, {"select", LX_SELECT, '3'},
};
enum { LOOP_WORDS = sizeof loop_words / sizeof *loop_words };

/* Integer operations written (a op b). */
static const struct {
    const char *sign;
    LxKind kind;
} loop_signs[] = {{"+", LX_IADD}, {"-", LX_ISUB}, {"*", LX_IMUL}, {"/", LX_IDIV}, {"%", LX_IMOD},
                  {"<", LX_ILT}, {"==", LX_IEQ}, {"&", LX_IAND}, {"|", LX_IOR}};
enum { LOOP_SIGNS = sizeof loop_signs / sizeof *loop_signs };

static const char *const loop_spaces[SP_KINDS] = {"fixed", "batch", "lane", "prepared", "in", "out", "param", "grad", "state", "state_out", "tunable", "table",
                                                  "ftable"};
#endif
