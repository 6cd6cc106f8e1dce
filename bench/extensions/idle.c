// An extension that does nothing: it registers, asks for the next event, and answers none. What no
// extension can be quicker than; compiled with the layer's own compiler, static like the layer's.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char answer[16384];

// Sends a request and reads its answer, whose body is as long as Content-Length says.
static void call(int platform, const char *request, size_t length) {
    if (write(platform, request, length) != (ssize_t)length) {
        _exit(1);
    }
    size_t come = 0;
    for (;;) {
        ssize_t n = read(platform, answer + come, sizeof(answer) - 1 - come);
        if (n <= 0) {
            _exit(1);
        }
        come += n;
        answer[come] = 0;
        char *body = strstr(answer, "\r\n\r\n");
        char *size = strcasestr(answer, "content-length:");
        if (body && (!size || come >= (size_t)(body + 4 - answer) + strtoul(size + 15, NULL, 10))) {
            return;
        }
    }
}

int main(int argc, char **argv) {
    char *address = getenv("AWS_LAMBDA_RUNTIME_API");
    char *slash = strrchr(argv[0], '/');
    if (!address || !strchr(address, ':')) {
        return 1;
    }
    char host[64] = {0};
    strncpy(host, address, strchr(address, ':') - address);
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons(atoi(strchr(address, ':') + 1))};
    inet_pton(AF_INET, host, &there.sin_addr);
    int platform = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(platform, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    // AWS's Runtime Interface Emulator may start an extension a moment before it listens.
    for (int left = 500; connect(platform, (struct sockaddr *)&there, sizeof(there)); left--) {
        if (!left) {
            return 1;
        }
        usleep(2000);
    }
    char request[512];
    const char *events = "{\"events\": [\"INVOKE\", \"SHUTDOWN\"]}";
    int length = snprintf(request, sizeof(request),
        "POST /2020-01-01/extension/register HTTP/1.1\r\nHost: %s\r\nLambda-Extension-Name: %s\r\n"
        "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
        address, slash ? slash + 1 : argv[0], strlen(events), events);
    call(platform, request, length);
    char identifier[64] = {0};
    char *found = strcasestr(answer, "lambda-extension-identifier:");
    if (!found || sscanf(found + 28, " %63[^\r]", identifier) != 1) {
        return 1;
    }
    length = snprintf(request, sizeof(request),
        "GET /2020-01-01/extension/event/next HTTP/1.1\r\nHost: %s\r\n"
        "Lambda-Extension-Identifier: %s\r\n\r\n", address, identifier);
    do {
        call(platform, request, length);
    } while (!strstr(answer, "SHUTDOWN"));
    return 0;
}
