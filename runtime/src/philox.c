/* (being built) */
int csc_placeholder(void);
int csc_placeholder(void) { return 0; }
