// Random numbers for Mbed TLS, and the certificate that Mbed TLS refused.
#include <string.h>
#include <sys/random.h>

#include "psa/crypto.h"

// Returns random bytes for the keys of TLS 1.3, from the kernel at each call. The state of a
// generator in this process would be part of a snapshot (SnapStart): all environments that are
// restored from it would use the same keys.
psa_status_t mbedtls_psa_external_get_random(mbedtls_psa_external_random_context_t *context,
    uint8_t *output, size_t size, size_t *length) {
    (void)context;
    *length = 0;
    while (*length < size) {
        ssize_t n = getrandom(output + *length, size - *length, 0);
        if (n <= 0) {
            return PSA_ERROR_INSUFFICIENT_ENTROPY;
        }
        *length += n;
    }
    return PSA_SUCCESS;
}

// Mbed TLS refuses a certificate with a critical extension that it does not know, and keeps no part
// of it. The last refused certificate is kept here, so that the log can have its name and the
// extension.
static uint8_t refused[4096];
static size_t refused_length;

int __real_mbedtls_x509_crt_parse_der(void *chain, const uint8_t *der, size_t length);

int __wrap_mbedtls_x509_crt_parse_der(void *chain, const uint8_t *der, size_t length) {
    int result = __real_mbedtls_x509_crt_parse_der(chain, der, length);
    if (result) {
        refused_length = length <= sizeof(refused) ? length : 0;
        memcpy(refused, der, refused_length);
    }
    return result;
}

size_t take_refused_certificate(uint8_t *der, size_t size) {
    size_t length = refused_length <= size ? refused_length : 0;
    memcpy(der, refused, length);
    refused_length = 0;
    return length;
}
