/* credentials.h - atelier-decode as the place where Content Credentials are written and read.
 *
 * Started with the library's path as its argument the program does nothing else: it loads the library, closes the sandbox,
 * and serves ATL_FRAME_CREDENTIAL. The key is not here: each signature is asked of the server.
 */
#ifndef ATL_WORKER_CREDENTIALS_H
#define ATL_WORKER_CREDENTIALS_H

/* The program's exit status. */
int credentials_main(const char *library);

#endif
