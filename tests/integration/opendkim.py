# SPDX-License-Identifier: ISC
"""libopendkim, as far as tests need it: signing and verifying with keys from a dictionary instead of the DNS."""
import ctypes

STAT_OK = 0
CANON = {"simple": 0, "relaxed": 1}
ALGORITHM = {"rsa-sha256": 1, "ed25519-sha256": 2}
FLAG_PASSED, BODY_MATCHES, STAT_NO_KEY = 4, 0, 3
ERRORS = {
    0: "ok", 1: "version", 2: "domain", 3: "expired", 4: "future", 5: "timestamps", 7: "canon", 8: "canon", 9: "no a", 10: "a", 11: "no h", 12: "l",
    13: "q", 14: "q", 15: "no d", 16: "no d", 17: "no s", 18: "no s", 19: "no b", 20: "no b", 21: "b", 22: "no key", 23: "dns", 24: "keyfail",
    25: "no bh", 26: "no bh", 27: "bh", 28: "bad signature", 29: "subdomain", 31: "no h", 32: "h", 33: "l too large", 35: "key version", 36: "key hash",
    37: "key hash", 38: "key service", 41: "key type", 42: "revoked", 43: "key", 44: "no v", 45: "no v", 46: "small key",
}
LOOKUP = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(ctypes.c_char), ctypes.c_size_t)


class OpenDkim:
    """Keys: {(selector, domain): record}, in lower case."""

    def __init__(self, keys):
        self.keys = keys
        self.lib = lib = ctypes.CDLL("libopendkim.so.11")
        for name in ("dkim_init", "dkim_verify", "dkim_sign"):
            getattr(lib, name).restype = ctypes.c_void_p
        for name in ("dkim_sig_getdomain", "dkim_sig_getselector"):
            getattr(lib, name).restype = ctypes.c_char_p
        self.handle = ctypes.c_void_p(lib.dkim_init(None, None))
        self.lookup = LOOKUP(self.find)
        lib.dkim_set_key_lookup(self.handle, self.lookup)

    def find(self, _dkim, sig, out, size):
        sig = ctypes.c_void_p(sig)
        name = (self.lib.dkim_sig_getselector(sig).decode().lower(), self.lib.dkim_sig_getdomain(sig).decode().lower())
        record = self.keys.get(name)
        if record is None:
            return STAT_NO_KEY
        assert len(record) < size
        ctypes.memmove(out, record.encode() + b"\0", len(record) + 1)
        return STAT_OK

    def has_ed25519(self):
        return bool(self.lib.dkim_libfeature(self.handle, 11))

    def take(self, dkim, fields, body):
        """Gives it the message; the status of the end of the body, or the first one that is none."""
        for field in fields:
            status = self.lib.dkim_header(dkim, field, ctypes.c_size_t(len(field)))
            if status != STAT_OK:
                return status
        status = self.lib.dkim_eoh(dkim)
        if status not in (STAT_OK, 2):
            return status
        # It refuses a body without a line end at its end, which RFC 6376 3.4.3 and 3.4.4 would add.
        body += b"" if body.endswith(b"\r\n") or not body else b"\r\n"
        if body:
            self.lib.dkim_body(dkim, body, ctypes.c_size_t(len(body)))
        return self.lib.dkim_eom(dkim, None)

    def verify(self, fields, body):
        """For each signature whether it passes, and the error that was found. Fields are octets without their last line end."""
        status = ctypes.c_int()
        dkim = ctypes.c_void_p(self.lib.dkim_verify(self.handle, b"test", None, ctypes.byref(status)))
        try:
            self.take(dkim, fields, body)
            sigs, count = ctypes.POINTER(ctypes.c_void_p)(), ctypes.c_int()
            self.lib.dkim_getsiglist(dkim, ctypes.byref(sigs), ctypes.byref(count))
            result = []
            for i in range(count.value):
                sig = ctypes.c_void_p(sigs[i])
                passes = bool(self.lib.dkim_sig_getflags(sig) & FLAG_PASSED) and self.lib.dkim_sig_getbh(sig) == BODY_MATCHES
                result.append((passes, ERRORS.get(self.lib.dkim_sig_geterror(sig), "other")))
            return result
        finally:
            self.lib.dkim_free(dkim)

    def sign(self, fields, body, key, selector, domain, algorithm, header_canon, body_canon, length=-1):
        """The field, with CRLF line ends."""
        status = ctypes.c_int()
        dkim = self.lib.dkim_sign(self.handle, b"test", None, key, selector.encode(), domain.encode(), CANON[header_canon], CANON[body_canon],
                                  ALGORITHM[algorithm], ctypes.c_ssize_t(length), ctypes.byref(status))
        assert dkim, f"libopendkim says {status.value}"
        dkim = ctypes.c_void_p(dkim)
        try:
            status = self.take(dkim, fields, body)
            assert status == STAT_OK, f"libopendkim says {status}"
            text, size = ctypes.POINTER(ctypes.c_char)(), ctypes.c_size_t()
            assert self.lib.dkim_getsighdr_d(dkim, ctypes.c_size_t(16), ctypes.byref(text), ctypes.byref(size)) == STAT_OK
            return b"DKIM-Signature: " + ctypes.string_at(text, size.value) + b"\r\n"
        finally:
            self.lib.dkim_free(dkim)
