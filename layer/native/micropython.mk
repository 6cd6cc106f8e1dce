# User C module of the layer's MicroPython; MicroPython's own make includes this file.
NATIVE_DIR := $(USERMOD_DIR)
SRC_USERMOD_C += $(NATIVE_DIR)/posix_calls.c $(NATIVE_DIR)/entry.c $(NATIVE_DIR)/fast_paths.c $(NATIVE_DIR)/tls_support.c

# The parts of Mbed TLS that TLS 1.3 needs and that MicroPython's own list lacks.
SRC_THIRDPARTY_C += $(addprefix lib/mbedtls/library/,\
	psa_crypto.c \
	psa_crypto_aead.c \
	psa_crypto_cipher.c \
	psa_crypto_client.c \
	psa_crypto_driver_wrappers_no_static.c \
	psa_crypto_ecp.c \
	psa_crypto_ffdh.c \
	psa_crypto_hash.c \
	psa_crypto_mac.c \
	psa_crypto_random.c \
	psa_crypto_rsa.c \
	psa_crypto_slot_management.c \
	psa_util.c \
	ssl_tls13_client.c \
	ssl_tls13_generic.c \
	ssl_tls13_keys.c \
	ssl_tls13_server.c \
	)
