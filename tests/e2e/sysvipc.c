/* Makes, finds or removes one System V object of each kind: sysvipc make|find|remove KEY. One word a kind: what came of it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

static void tell(const char *kind, int result)
{
	printf("%s=%s\n", kind, result >= 0 ? "yes" : errno == ENOSYS ? "ENOSYS" : errno == ENOENT ? "ENOENT" : strerror(errno));
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	key_t key = atoi(argv[2]);
	int flags = strcmp(argv[1], "make") == 0 ? IPC_CREAT | IPC_EXCL | 0600 : 0;
	int shm = shmget(key, flags ? 64 : 0, flags);
	tell("shm", shm);
	char *text = shm >= 0 ? shmat(shm, NULL, 0) : (char *)-1;
	if (text != (char *)-1) {
		if (flags)
			snprintf(text, 64, "%s", argc > 3 ? argv[3] : "");
		printf("text=%s\n", text);
	}
	int sem = semget(key, flags ? 1 : 0, flags);
	tell("sem", sem);
	int msg = msgget(key, flags);
	tell("msg", msg);
	if (strcmp(argv[1], "remove") == 0) {
		shmctl(shm, IPC_RMID, NULL);
		semctl(sem, 0, IPC_RMID);
		msgctl(msg, IPC_RMID, NULL);
	}
	return 0;
}
