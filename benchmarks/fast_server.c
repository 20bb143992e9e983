/* A server with Ollama's interface and prepared answers: what is measured against it is the client, not the server.
 *
 * A text gets one of 256 prepared vectors, chosen by a hash of the text, so that a row in the wrong place is seen. The numbers are
 * float32, written as Go writes them: the fewest digits that read back as the same number. Answers to /api/embed are one chunk of
 * a chunked HTTP answer, as Ollama's are; those to /api/chat have a chunk for each token.
 *
 *   fast_server [--width N] [--encode-us N] [--v1-encode-us N] [--gpu-ms N] [--first-ms N] [--token-us N]
 *
 * --encode-us     work for each vector of /api/embed, one request at a time: Ollama writes its JSON in about 40 us
 * --v1-encode-us  the same for /v1/embeddings, which Ollama answers out of a whole answer of /api/embed: about 132 us
 * --gpu-ms        wait for each 256 texts, one request at a time, as for one GPU
 * --first-ms      wait before the first token of a chat; without --token-us the others follow at once
 * --token-us      wait between two tokens of a chat, each of which is then sent by itself
 *
 * It prints its port on 127.0.0.1 and ends when its standard input does. Work is counted in processor time, so that writing the
 * answers, which happens on the same core, is not hidden behind it.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <math.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { VECTORS = 256, BATCH = 256, TOKENS_AT_ONCE = 256, MOST_PIECES = 1024 };

typedef struct { const char *start; size_t length; } Text;
typedef struct { struct iovec *items; size_t count, room, bytes; } Pieces;
typedef struct { char *bytes; size_t filled, room; } Buffer;

static int width = 768;
static double encode_us, v1_encode_us, gpu_ms, first_ms, token_us;
static Text as_json[VECTORS], as_base64[VECTORS];
static pthread_mutex_t processor = PTHREAD_MUTEX_INITIALIZER, gpu = PTHREAD_MUTEX_INITIALIZER;

/* Vectors. */

static uint64_t random_state = 88172645463325252ull;

static double uniform(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return ((random_state >> 11) + 0.5) / 9007199254740992.0;
}

static void fill_unit_vector(float *vector) {
    double squares = 0, *values = malloc(width * sizeof *values);
    for (int i = 0; i < width; i++) {
        values[i] = sqrt(-2 * log(uniform())) * cos(2 * M_PI * uniform());
        squares += values[i] * values[i];
    }
    for (int i = 0; i < width; i++) vector[i] = (float)(values[i] / sqrt(squares));
    free(values);
}

/* The shortest decimals, without an exponent from 1e-6 on, as encoding/json writes a float32. */
static int write_number(char *out, float value) {
    char digits[40];
    int count = 0;
    do snprintf(digits, sizeof digits, "%.*e", count, value);
    while (strtof(digits, NULL) != value && ++count < 9);
    char *letter = strchr(digits, 'e');
    int exponent = atoi(letter + 1);
    if (exponent >= -6) return sprintf(out, "%.*f", count > exponent ? count - exponent : 0, value);
    *letter = 0;
    return sprintf(out, "%se%d", digits, exponent);
}

static Text json_of(const float *vector) {
    char *text = malloc(width * 20 + 2), *end = text;
    for (int i = 0; i < width; i++) {
        *end++ = i ? ',' : '[';
        end += write_number(end, vector[i]);
    }
    *end++ = ']';
    return (Text){text, end - text};
}

static Text base64_of(const float *vector) {
    static const char signs[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *bytes = (const unsigned char *)vector;
    size_t count = width * sizeof *vector;
    char *text = malloc(count * 4 / 3 + 8), *end = text;
    *end++ = '"';
    for (size_t i = 0; i < count; i += 3) {
        uint32_t three = bytes[i] << 16 | (i + 1 < count ? bytes[i + 1] << 8 : 0) | (i + 2 < count ? bytes[i + 2] : 0);
        *end++ = signs[three >> 18];
        *end++ = signs[three >> 12 & 63];
        *end++ = i + 1 < count ? signs[three >> 6 & 63] : '=';
        *end++ = i + 2 < count ? signs[three & 63] : '=';
    }
    *end++ = '"';
    return (Text){text, end - text};
}

static void prepare_vectors(void) {
    float *vector = malloc(width * sizeof *vector);
    for (int i = 0; i < VECTORS; i++) {
        fill_unit_vector(vector);
        as_json[i] = json_of(vector);
        as_base64[i] = base64_of(vector);
    }
    free(vector);
}

/* Reading a request. */

static Text header(const char *head, const char *name) {
    size_t length = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line && line[2] != '\r'; line = strstr(line + 2, "\r\n")) {
        const char *start = line + 2;
        if (strncasecmp(start, name, length) || start[length] != ':') continue;
        start += length + 1 + strspn(start + length + 1, " \t");
        return (Text){start, strcspn(start, "\r")};
    }
    return (Text){NULL, 0};
}

static int receive(int connection, Buffer *buffer, size_t needed) {
    if (needed + 1 > buffer->room) buffer->bytes = realloc(buffer->bytes, buffer->room = needed * 2 + 65536);
    ssize_t count = read(connection, buffer->bytes + buffer->filled, buffer->room - 1 - buffer->filled);
    if (count <= 0) return 0;
    buffer->filled += count;
    buffer->bytes[buffer->filled] = 0;
    return 1;
}

/* Reads until a whole request is there; returns its length, of which `*body` are before the body, or 0 at the end. */
static size_t next_request(int connection, Buffer *buffer, size_t *body) {
    char *end = NULL;
    while (!buffer->filled || !(end = strstr(buffer->bytes, "\r\n\r\n")))
        if (!receive(connection, buffer, buffer->filled + 1)) return 0;
    *body = end + 4 - buffer->bytes;
    Text sent = header(buffer->bytes, "Content-Length");
    size_t length = *body + (sent.start ? strtoul(sent.start, NULL, 10) : 0);
    while (buffer->filled < length)
        if (!receive(connection, buffer, length)) return 0;
    return length;
}

static const char *skip_space(const char *at) { return at + strspn(at, " \t\r\n"); }

/* The value of a key. Inside a JSON string every quote has a backslash before it, so that `"key":` is never found in one. */
static const char *value_of(const char *json, const char *key) {
    char quoted[40];
    size_t length = sprintf(quoted, "\"%s\"", key);
    for (const char *at = json; (at = strstr(at, quoted)); at += length) {
        const char *after = skip_space(at + length);
        if (*after == ':') return skip_space(after + 1);
    }
    return NULL;
}

/* `at` is at the opening quote; returns what follows the closing one, and the hash (FNV-1a) of what is written between them. */
static const char *read_string(const char *at, uint32_t *hash) {
    *hash = 2166136261u;
    for (at++; *at && *at != '"'; at++) {
        *hash = (*hash ^ (unsigned char)*at) * 16777619u;
        if (*at == '\\' && at[1]) *hash = (*hash ^ (unsigned char)*++at) * 16777619u;
    }
    return *at ? at + 1 : at;
}

/* Returns how many texts the "input" holds, one or a list of them, and for each which vector it gets. */
static size_t read_input(const char *json, uint8_t **chosen) {
    const char *at = value_of(json, "input");
    size_t count = 0, room = 1024;
    uint32_t hash;
    *chosen = malloc(room);
    if (!at) return 0;
    int list = *at == '[';
    for (at = skip_space(at + list); *at == '"'; at = skip_space(at + (*at == ','))) {
        if (count == room) *chosen = realloc(*chosen, room *= 2);
        at = skip_space(read_string(at, &hash));
        (*chosen)[count++] = (hash ^ hash >> 16) % VECTORS;
        if (!list) break;
    }
    return count;
}

/* Writing an answer. */

static void add(Pieces *pieces, const char *start, size_t length) {
    if (pieces->count == pieces->room) pieces->items = realloc(pieces->items, (pieces->room = pieces->room * 2 + 64) * sizeof *pieces->items);
    pieces->items[pieces->count++] = (struct iovec){(void *)start, length};
    pieces->bytes += length;
}

static int send_pieces(int connection, struct iovec *items, size_t count) {
    while (count) {
        ssize_t sent = writev(connection, items, count < MOST_PIECES ? count : MOST_PIECES);
        if (sent <= 0) return 0;
        while (count && (size_t)sent >= items->iov_len) sent -= items->iov_len, items++, count--;
        if (count) items->iov_base = (char *)items->iov_base + sent, items->iov_len -= sent;
    }
    return 1;
}

static int send_bytes(int connection, const char *start, size_t length) {
    return send_pieces(connection, &(struct iovec){(void *)start, length}, 1);
}

static int send_json(int connection, const char *status, const char *json) {
    char answer[1024];
    size_t length = snprintf(answer, sizeof answer,
        "HTTP/1.1 %s\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: %zu\r\n\r\n%s", status, strlen(json), json);
    return send_bytes(connection, answer, length);
}

/* Costs. */

static double seconds_of(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec + now.tv_nsec * 1e-9;
}

static void work(double us) {
    if (us <= 0) return;
    pthread_mutex_lock(&processor);
    for (double end = seconds_of(CLOCK_THREAD_CPUTIME_ID) + us * 1e-6; seconds_of(CLOCK_THREAD_CPUTIME_ID) < end;) continue;
    pthread_mutex_unlock(&processor);
}

static void compute(size_t texts) {
    if (gpu_ms <= 0) return;
    pthread_mutex_lock(&gpu);
    double end = seconds_of(CLOCK_MONOTONIC) + gpu_ms * 1e-3 * texts / BATCH;
    struct timespec until = {(time_t)end, (long)((end - (time_t)end) * 1e9)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    pthread_mutex_unlock(&gpu);
}

/* Endpoints. */

#define ADD(pieces, text) add(pieces, text, sizeof text - 1)

static int send_vectors(int connection, Pieces *answer) {
    char head[200];
    int length = sprintf(head,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n", answer->bytes);
    answer->items[0] = (struct iovec){head, length};
    ADD(answer, "\r\n0\r\n\r\n");
    int sent = send_pieces(connection, answer->items, answer->count);
    free(answer->items);
    return sent;
}

static int embed(int connection, const char *json) {
    uint8_t *chosen;
    size_t count = read_input(json, &chosen);
    Pieces answer = {0};
    char end[120];
    add(&answer, NULL, 0); /* the head, when the length is known */
    ADD(&answer, "{\"model\":\"bench-embed\",\"embeddings\":[");
    for (size_t i = 0; i < count; i++) {
        if (i) ADD(&answer, ",");
        add(&answer, as_json[chosen[i]].start, as_json[chosen[i]].length);
    }
    add(&answer, end, sprintf(end, "],\"total_duration\":1000,\"load_duration\":100,\"prompt_eval_count\":%zu}", count));
    free(chosen);
    compute(count);
    work(encode_us * count);
    return send_vectors(connection, &answer);
}

static int embed_openai(int connection, const char *json) {
    uint8_t *chosen;
    size_t count = read_input(json, &chosen);
    const char *format = value_of(json, "encoding_format");
    const Text *vectors = format && !strncmp(format, "\"base64\"", 8) ? as_base64 : as_json;
    Pieces answer = {0};
    char *numbers = malloc(count * 32 + 1), *number = numbers, end[120];
    add(&answer, NULL, 0);
    ADD(&answer, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < count; i++) {
        ADD(&answer, "{\"object\":\"embedding\",\"embedding\":");
        add(&answer, vectors[chosen[i]].start, vectors[chosen[i]].length);
        int length = sprintf(number, ",\"index\":%zu}%s", i, i + 1 < count ? "," : "");
        add(&answer, number, length);
        number += length;
    }
    add(&answer, end, sprintf(end, "],\"model\":\"bench-embed\",\"usage\":{\"prompt_tokens\":%zu,\"total_tokens\":%zu}}", count, count));
    free(chosen);
    compute(count);
    work(v1_encode_us * count);
    int sent = send_vectors(connection, &answer);
    free(numbers);
    return sent;
}

#define LINE "{\"model\":\"bench-chat\",\"created_at\":\"2025-11-22T18:04:04.123456789Z\",\"message\":{\"role\":\"assistant\",\"content\":"
#define EVENT "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"bench-chat\",\"choices\":[{\"index\":0,\"delta\":"

static void rest(double microseconds) {
    struct timespec time = {(time_t)(microseconds / 1e6), (long)(microseconds * 1e3) % 1000000000};
    if (microseconds > 0) nanosleep(&time, NULL);
}

static int send_tokens(int connection, const char *line, long tokens) {
    char chunk[600];
    size_t length = sprintf(chunk, "%zx\r\n%s\r\n", strlen(line), line);
    struct iovec items[TOKENS_AT_ONCE];
    long each = token_us > 0 ? 1 : TOKENS_AT_ONCE;
    int sent = 1;
    for (long at = 0; sent && at < tokens; at += each) {
        if (at) rest(token_us);
        for (int i = 0; i < each; i++) items[i] = (struct iovec){chunk, length};
        sent = send_pieces(connection, items, tokens - at < each ? tokens - at : each);
    }
    return sent;
}

static int stream(int connection, const char *kind, const char *line, long tokens, const char *last) {
    char head[200], end[800];
    int head_length = sprintf(head, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n", kind);
    int end_length = sprintf(end, "%zx\r\n%s\r\n0\r\n\r\n", strlen(last), last);
    rest(first_ms * 1000);
    return send_bytes(connection, head, head_length) && send_tokens(connection, line, tokens) && send_bytes(connection, end, end_length);
}

static int chat(int connection, const char *json) {
    const char *limit = value_of(json, "num_predict");
    long tokens = limit ? atol(limit) : 100;
    char last[400];
    sprintf(last, LINE "\"\"},\"done\":true,\"done_reason\":\"stop\",\"total_duration\":1000000,\"load_duration\":1000,"
        "\"prompt_eval_count\":5,\"prompt_eval_duration\":1000,\"eval_count\":%ld,\"eval_duration\":1000000}\n", tokens);
    return stream(connection, "application/x-ndjson", LINE "\" token\"},\"done\":false}\n", tokens, last);
}

static int chat_openai(int connection, const char *json) {
    const char *limit = value_of(json, "max_tokens"), *other = value_of(json, "max_completion_tokens");
    return stream(connection, "text/event-stream",
        EVENT "{\"role\":\"assistant\",\"content\":\" token\"},\"finish_reason\":null}]}\n\n", limit ? atol(limit) : other ? atol(other) : 100,
        EVENT "{\"content\":\"\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n");
}

static int tags(int connection, const char *json) {
    (void)json;
    return send_json(connection, "200 OK",
        "{\"models\":[{\"name\":\"bench-embed:latest\",\"model\":\"bench-embed:latest\",\"modified_at\":\"2025-11-22T18:04:04Z\",\"size\":1,\"digest\":\"e0\"},"
        "{\"name\":\"bench-chat:latest\",\"model\":\"bench-chat:latest\",\"modified_at\":\"2025-11-22T18:04:04Z\",\"size\":1,\"digest\":\"c0\"}]}");
}

static int show(int connection, const char *json) {
    char card[400];
    int chats = strstr(json, "bench-chat") != NULL;
    sprintf(card, "{\"capabilities\":[\"%s\"],\"model_info\":{\"general.architecture\":\"bench\","
        "\"bench.context_length\":8192,\"bench.embedding_length\":%d}}", chats ? "completion" : "embedding", width);
    return send_json(connection, "200 OK", card);
}

static int version(int connection, const char *json) {
    (void)json;
    return send_json(connection, "200 OK", "{\"version\":\"0.24.0\"}");
}

static const struct { const char *line; int (*answer)(int, const char *); } endpoints[] = {
    {"POST /api/embed ", embed}, {"POST /v1/embeddings ", embed_openai}, {"POST /api/chat ", chat},
    {"POST /v1/chat/completions ", chat_openai},
    {"POST /api/show ", show}, {"GET /api/tags ", tags}, {"GET /api/version ", version},
};

static int answer(int connection, const char *head, const char *body) {
    for (size_t i = 0; i < sizeof endpoints / sizeof *endpoints; i++)
        if (!strncmp(head, endpoints[i].line, strlen(endpoints[i].line))) return endpoints[i].answer(connection, body);
    return send_json(connection, "404 Not Found", "{\"error\":\"404 page not found\"}");
}

static void *serve(void *argument) {
    int connection = (int)(intptr_t)argument;
    Buffer buffer = {0};
    size_t length, body;
    while ((length = next_request(connection, &buffer, &body))) {
        char kept = buffer.bytes[length];
        buffer.bytes[length] = 0;
        if (!answer(connection, buffer.bytes, buffer.bytes + body)) break;
        buffer.bytes[length] = kept;
        memmove(buffer.bytes, buffer.bytes + length, buffer.filled -= length);
        buffer.bytes[buffer.filled] = 0;
    }
    free(buffer.bytes);
    close(connection);
    return NULL;
}

static int opened(void) {
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof here;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&here, size) || listen(listener, 128)) return -1;
    getsockname(listener, (struct sockaddr *)&here, &size);
    printf("%d\n", ntohs(here.sin_port));
    fflush(stdout);
    return listener;
}

static void *end_with_input(void *unused) {
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) continue;
    _exit(0);
    return unused;
}

static int read_options(int count, char **words) {
    for (int i = 1; i < count; i += 2) {
        double value = i + 1 < count ? atof(words[i + 1]) : 0;
        if (!strcmp(words[i], "--width")) width = (int)value;
        else if (!strcmp(words[i], "--encode-us")) encode_us = value;
        else if (!strcmp(words[i], "--v1-encode-us")) v1_encode_us = value;
        else if (!strcmp(words[i], "--gpu-ms")) gpu_ms = value;
        else if (!strcmp(words[i], "--first-ms")) first_ms = value;
        else if (!strcmp(words[i], "--token-us")) token_us = value;
        else return fprintf(stderr, "unknown option %s\n", words[i]), 0;
    }
    return width > 0;
}

int main(int count, char **words) {
    int connection, on = 1;
    pthread_t thread;
    if (!read_options(count, words)) return 2;
    signal(SIGPIPE, SIG_IGN);
    prepare_vectors();
    int listener = opened();
    pthread_create(&thread, NULL, end_with_input, NULL);
    while (listener >= 0 && (connection = accept(listener, NULL, NULL)) >= 0) {
        setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (!pthread_create(&thread, NULL, serve, (void *)(intptr_t)connection)) pthread_detach(thread);
    }
    return 1;
}
