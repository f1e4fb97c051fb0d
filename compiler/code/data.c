/* Writes an ELF object of one read-only section and one symbol (System V ABI, chapter 4). */
#include "code/code.h"
#include <elf.h>
#include <string.h>

enum { ALIGN = 64 };
enum { S_NONE, S_DATA, S_SYMBOLS, S_STRINGS, S_NAMES, S_STACK, SECTIONS };
static const char names[] = "\0.rodata\0.symtab\0.strtab\0.shstrtab\0.note.GNU-stack";
static const unsigned name_at[SECTIONS] = {0, 1, 9, 17, 25, 35};

#if defined __aarch64__
enum { MACHINE = EM_AARCH64 };
#else
enum { MACHINE = EM_X86_64 };
#endif

static size_t up(size_t n, size_t to) { return (n + to - 1) / to * to; }

CodeObject *code_data(Arena *a, const char *symbol, const void *bytes, size_t len) {
    size_t strings = strlen(symbol) + 2, data = up(sizeof(Elf64_Ehdr), ALIGN), symbols = up(data + len, ALIGN), texts = symbols + 2 * sizeof(Elf64_Sym);
    size_t table = up(texts + strings + sizeof names, ALIGN);
    CodeObject *o = ARENA_NEW(a, CodeObject);
    o->len = table + SECTIONS * sizeof(Elf64_Shdr);
    o->bytes = arena_alloc(a, o->len);
    memset(o->bytes, 0, o->len);
    const Elf64_Ehdr head = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT}, .e_type = ET_REL, .e_machine = MACHINE,
                             .e_version = EV_CURRENT, .e_shoff = table, .e_ehsize = sizeof head, .e_shentsize = sizeof(Elf64_Shdr), .e_shnum = SECTIONS,
                             .e_shstrndx = S_NAMES};
    const Elf64_Sym sym[2] = {{0}, {.st_name = 1, .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT), .st_other = STV_HIDDEN, .st_shndx = S_DATA, .st_size = len}};
    const Elf64_Shdr section[SECTIONS] = {
        [S_DATA] = {.sh_type = SHT_PROGBITS, .sh_flags = SHF_ALLOC, .sh_offset = data, .sh_size = len, .sh_addralign = ALIGN},
        [S_SYMBOLS] = {.sh_type = SHT_SYMTAB, .sh_offset = symbols, .sh_size = sizeof sym, .sh_link = S_STRINGS, .sh_info = 1, .sh_addralign = 8, .sh_entsize = sizeof *sym},
        [S_STRINGS] = {.sh_type = SHT_STRTAB, .sh_offset = texts, .sh_size = strings, .sh_addralign = 1},
        [S_NAMES] = {.sh_type = SHT_STRTAB, .sh_offset = texts + strings, .sh_size = sizeof names, .sh_addralign = 1},
        [S_STACK] = {.sh_type = SHT_PROGBITS, .sh_offset = data, .sh_addralign = 1},
    };
    memcpy(o->bytes, &head, sizeof head);
    memcpy(o->bytes + data, bytes, len);
    memcpy(o->bytes + symbols, sym, sizeof sym);
    memcpy(o->bytes + texts + 1, symbol, strlen(symbol));
    memcpy(o->bytes + texts + strings, names, sizeof names);
    memcpy(o->bytes + table, section, sizeof section);
    for (int i = 1; i < SECTIONS; i++) memcpy(o->bytes + table + (size_t)i * sizeof *section, &name_at[i], 4); /* sh_name comes first */
    return o;
}
