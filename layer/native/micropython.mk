# User C module of the layer's MicroPython; MicroPython's own make includes this file.
NATIVE_DIR := $(USERMOD_DIR)
SRC_USERMOD_C += $(NATIVE_DIR)/posix_calls.c $(NATIVE_DIR)/entry.c
