/* cscc: the one command. */
#include "base/diag.h"
int main(void) { return 0; }
