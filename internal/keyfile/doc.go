// Package keyfile reads private keys from files in PEM form, and protects them with a passphrase.
//
//	file ──▶ Read ──┬─ PRIVATE KEY, EC PRIVATE KEY ──────────────────────────────▶ PEM of the plain key
//	                └─ ENCRYPTED PRIVATE KEY ──▶ passphrase, at the terminal ──▶ ┘
//	plain key, passphrase ──▶ Protect ──▶ ENCRYPTED PRIVATE KEY
//
// A protected key is an EncryptedPrivateKeyInfo of PKCS #8 (RFC 5958, section 3) by the scheme PBES2 of PKCS #5 (RFC 8018,
// section 6.2): PBKDF2 with HMAC-SHA-256, and AES-256 in CBC mode. `openssl pkcs8 -topk8` writes that form, and `openssl pkey`
// reads it.
//
// A passphrase comes from the terminal alone, never from the standard input, an argument or the environment, where other
// processes could see it. A program without a terminal, such as a service, reads plain keys only ([ReadUnattended]).
//
// Keys and passphrases are erased from memory after use where Go permits: crypto/pbkdf2 takes the passphrase as a string,
// whose copy stays until the memory is used again, and so do keys that package crypto/x509 has parsed.
//
// Trust: host
package keyfile
