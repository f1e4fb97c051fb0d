/* Loads x86-64 ELF objects into this process: places the sections, finds the symbols, applies the relocations (System V ABI, AMD64 supplement,
   section 4.4). Code and constants are made read-only before anything runs. */
#include "base/trouble.h"
#include "code/code.h"
#include <dlfcn.h>
#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ZONE_CODE, ZONE_CONST, ZONE_DATA, ZONES, NOWHERE = -1, PAGE = 4096, SLOT = 16, GOTPCRELX = 41, REX_GOTPCRELX = 42 };

struct CodeImage {
    char *base;
    size_t len;
};

typedef struct Part { /* one object */
    const char *at;
    size_t len;
    const Elf64_Ehdr *head;
    const Elf64_Shdr *section;
    const Elf64_Sym *symbol;
    const char *strings;
    size_t nsymbols;
    int *zone;        /* of each section, or NOWHERE */
    uint64_t *offset; /* in its zone; later the address */
    uint64_t *common; /* of each symbol that several objects share and none places: in the data */
} Part;

typedef struct Loader {
    Arena *a;
    Vec(Part) parts;
    uint64_t size[ZONES], start[ZONES]; /* start: addresses */
    uint64_t slots, next_slot;          /* how many; the address of the next: an address, or a jump to one */
    CodeImage *image;
    const char *why;
} Loader;

static bool refuse(Loader *l, const char *why) { return l->why = why, false; }

static bool inside(const Part *p, uint64_t at, uint64_t n) { return at <= p->len && n <= p->len - at; }

static int zone_of(const Elf64_Shdr *s) {
    if (!(s->sh_flags & SHF_ALLOC) || (s->sh_type != SHT_PROGBITS && s->sh_type != SHT_NOBITS)) return NOWHERE;
    return s->sh_flags & SHF_EXECINSTR ? ZONE_CODE : s->sh_flags & SHF_WRITE ? ZONE_DATA : ZONE_CONST;
}

static bool needs_slot(uint32_t type) {
    return type == R_X86_64_PLT32 || type == R_X86_64_GOTPCREL || type == GOTPCRELX || type == REX_GOTPCRELX;
}

static void place_commons(Loader *l, Part *p) { /* their value is their alignment */
    uint64_t *n = &l->size[ZONE_DATA];
    p->common = ARENA_ARRAY(l->a, uint64_t, p->nsymbols + 1);
    for (size_t i = 0; i < p->nsymbols; i++) {
        const Elf64_Sym *s = &p->symbol[i];
        if (s->st_shndx != SHN_COMMON) continue;
        p->common[i] = *n = (*n + s->st_value - 1) & -s->st_value;
        *n += s->st_size;
    }
}

static bool open_part(Loader *l, const CodeObject *o) {
    Part p = {.at = o->bytes, .len = o->len, .head = (const Elf64_Ehdr *)o->bytes};
    if (o->len < sizeof *p.head || memcmp(o->bytes, ELFMAG, SELFMAG) || p.head->e_machine != EM_X86_64 || p.head->e_type != ET_REL ||
        p.head->e_ident[EI_CLASS] != ELFCLASS64 || !inside(&p, p.head->e_shoff, (uint64_t)p.head->e_shnum * sizeof(Elf64_Shdr)))
        return refuse(l, "it is no x86-64 object");
    size_t n = p.head->e_shnum;
    p.section = (const Elf64_Shdr *)(o->bytes + p.head->e_shoff);
    p.zone = ARENA_ARRAY(l->a, int, n + 1);
    p.offset = ARENA_ARRAY(l->a, uint64_t, n + 1);
    for (size_t i = 0; i < n; i++) {
        const Elf64_Shdr *s = &p.section[i];
        if (s->sh_type != SHT_NOBITS && !inside(&p, s->sh_offset, s->sh_size)) return refuse(l, "it is cut short");
        int z = p.zone[i] = zone_of(s);
        if (s->sh_type == SHT_RELA)
            for (size_t k = 0; k < s->sh_size / sizeof(Elf64_Rela); k++)
                l->slots += needs_slot((uint32_t)ELF64_R_TYPE(((const Elf64_Rela *)(o->bytes + s->sh_offset))[k].r_info));
        if (s->sh_type == SHT_SYMTAB) {
            if (s->sh_link >= n) return refuse(l, "it is damaged");
            p.symbol = (const Elf64_Sym *)(o->bytes + s->sh_offset);
            p.nsymbols = s->sh_size / sizeof *p.symbol;
            p.strings = o->bytes + p.section[s->sh_link].sh_offset;
        }
        if (z == NOWHERE) continue;
        uint64_t align = s->sh_addralign ? s->sh_addralign : 1;
        l->size[z] = (l->size[z] + align - 1) & -align;
        p.offset[i] = l->size[z];
        l->size[z] += s->sh_size;
    }
    place_commons(l, &p);
    vec_push(l->a, &l->parts, p);
    return true;
}

static uint64_t pages(uint64_t n) { return (n + PAGE - 1) & -(uint64_t)PAGE; }

static bool place(Loader *l) {
    uint64_t len = PAGE, at;
    l->size[ZONE_CODE] = (l->size[ZONE_CODE] + SLOT - 1) & -(uint64_t)SLOT;
    uint64_t first_slot = l->size[ZONE_CODE];
    l->size[ZONE_CODE] += l->slots * SLOT;
    for (int z = 0; z < ZONES; z++) len += pages(l->size[z]);
    if (len > INT32_MAX) return refuse(l, "it is too large");
    char *base = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) return refuse(l, "there is no memory left");
    l->image->base = base;
    l->image->len = len;
    at = (uint64_t)(uintptr_t)base;
    for (int z = 0; z < ZONES; z++) l->start[z] = at, at += pages(l->size[z]);
    l->next_slot = l->start[ZONE_CODE] + first_slot;
    for (size_t i = 0; i < l->parts.len; i++) {
        Part *p = &l->parts.at[i];
        for (size_t k = 0; k < p->head->e_shnum; k++) {
            if (p->zone[k] == NOWHERE) continue;
            p->offset[k] += l->start[p->zone[k]];
            if (p->section[k].sh_type == SHT_PROGBITS) memcpy((void *)(uintptr_t)p->offset[k], p->at + p->section[k].sh_offset, p->section[k].sh_size);
        }
    }
    return true;
}

static const char *name_of_symbol(const Part *p, const Elf64_Sym *s) { return p->strings + s->st_name; }

static bool defined(const Part *p, const Elf64_Sym *s) {
    return s->st_shndx != SHN_UNDEF && s->st_shndx < p->head->e_shnum && p->zone[s->st_shndx] != NOWHERE;
}

/* What several objects share; then what this process offers (libm, memcpy). 0: nobody has it. */
static uint64_t find_global(const Loader *l, const char *name, bool ours_only) {
    for (size_t i = 0; i < l->parts.len; i++) {
        const Part *p = &l->parts.at[i];
        for (size_t k = 0; k < p->nsymbols; k++) {
            const Elf64_Sym *s = &p->symbol[k];
            bool common = s->st_shndx == SHN_COMMON;
            if (ELF64_ST_BIND(s->st_info) == STB_LOCAL || (!common && !defined(p, s)) || strcmp(name_of_symbol(p, s), name)) continue;
            return common ? l->start[ZONE_DATA] + p->common[k] : p->offset[s->st_shndx] + s->st_value;
        }
    }
    return ours_only ? 0 : (uint64_t)(uintptr_t)dlsym(RTLD_DEFAULT, name);
}

static uint64_t new_slot(Loader *l, uint64_t address, bool jump) { /* jmp *0(%rip); address */
    static const unsigned char code[] = {0xff, 0x25, 0, 0, 0, 0};
    uint64_t slot = l->next_slot;
    l->next_slot += SLOT;
    char *to = (char *)(uintptr_t)slot;
    if (jump) memcpy(to, code, sizeof code), to += sizeof code;
    memcpy(to, &address, sizeof address);
    return slot;
}

static bool relocate(Loader *l, const Part *p, uint64_t section, const Elf64_Rela *r) {
    size_t number = ELF64_R_SYM(r->r_info);
    uint32_t type = (uint32_t)ELF64_R_TYPE(r->r_info);
    bool wide = type == R_X86_64_64 || type == R_X86_64_PC64;
    if (number >= p->nsymbols || r->r_offset + (wide ? 8 : 4) > p->section[section].sh_size) return refuse(l, "it is damaged");
    const Elf64_Sym *sym = &p->symbol[number];
    bool here = defined(p, sym);
    uint64_t s = here ? p->offset[sym->st_shndx] + sym->st_value : find_global(l, name_of_symbol(p, sym), false), place = p->offset[section] + r->r_offset;
    if (!s && ELF64_ST_BIND(sym->st_info) != STB_WEAK) return refuse(l, arena_printf(l->a, "nothing is called '%s'", name_of_symbol(p, sym)));
    uint64_t v = s + (uint64_t)r->r_addend;
    switch (type) {
    case R_X86_64_64: break;
    case R_X86_64_PC64: case R_X86_64_PC32: v -= place; break;
    case R_X86_64_PLT32:
        if (s - l->start[ZONE_CODE] >= l->image->len) v = new_slot(l, s, true) + (uint64_t)r->r_addend; /* far away */
        v -= place;
        break;
    case R_X86_64_GOTPCREL: case GOTPCRELX: case REX_GOTPCRELX: v = new_slot(l, s, false) + (uint64_t)r->r_addend - place; break;
    default: return refuse(l, arena_printf(l->a, "it has a relocation of type %u", type));
    }
    if (!wide && (int64_t)v != (int32_t)v) return refuse(l, arena_printf(l->a, "'%s' is too far away", name_of_symbol(p, sym)));
    memcpy((void *)(uintptr_t)place, &v, wide ? 8 : 4);
    return true;
}

static bool relocate_all(Loader *l) {
    for (size_t i = 0; i < l->parts.len; i++) {
        const Part *p = &l->parts.at[i];
        for (size_t k = 0; k < p->head->e_shnum; k++) {
            const Elf64_Shdr *s = &p->section[k];
            if (s->sh_type != SHT_RELA || s->sh_info >= p->head->e_shnum || p->zone[s->sh_info] == NOWHERE) continue;
            const Elf64_Rela *r = (const Elf64_Rela *)(p->at + s->sh_offset);
            for (size_t n = 0; n < s->sh_size / sizeof *r; n++)
                if (!relocate(l, p, s->sh_info, &r[n])) return false;
        }
    }
    return true;
}

static bool protect(const Loader *l) {
    static const int access[ZONES] = {PROT_READ | PROT_EXEC, PROT_READ, PROT_READ | PROT_WRITE};
    for (int z = 0; z < ZONES; z++)
        if (l->size[z] && mprotect((void *)(uintptr_t)l->start[z], pages(l->size[z]), access[z])) return false;
    return true;
}

static bool load(Loader *l, const CodeObject *o, const csc_model **model) {
    CodeObject part;
    for (size_t at = 0; code_member(o, &at, &part);) { /* members lie at even places: objects want 8 */
        part.bytes = arena_copy(l->a, part.bytes, part.len);
        if (!open_part(l, &part)) return false;
    }
    if (!place(l) || !relocate_all(l)) return false;
    if (!protect(l)) return refuse(l, "memory cannot be made executable");
    uint64_t query = find_global(l, "csc_model_query", true);
    if (!query) return refuse(l, "it holds no model");
    *model = ((const csc_model *(*)(uint32_t))(uintptr_t)query)(CSC_MODEL_VERSION);
    return *model || refuse(l, "it is of another version, or the system does not give it the registers it wants");
}

CodeImage *code_load(Arena *a, const CodeObject *o, const csc_model **model, const char **why) {
    Loader l = {.a = a, .image = calloc(1, sizeof(CodeImage))};
    if (!l.image) machine_trouble("no memory");
    if (load(&l, o, model)) return l.image;
    *why = l.why;
    code_free(l.image);
    return NULL;
}

void code_free(CodeImage *image) {
    if (!image) return;
    if (image->base) munmap(image->base, image->len);
    free(image);
}
