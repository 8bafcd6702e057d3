#!/bin/sh
# Makes the keys of the tests with GnuPG. They protect nothing. Run in this folder; needs gpg 2.2 or later.
set -eu
home=$(mktemp -d)
trap 'gpgconf --homedir "$home" --kill all; rm -rf "$home"' EXIT
chmod 700 "$home"
g() { gpg --homedir "$home" --batch --quiet --no-tty --pinentry-mode loopback --passphrase "${pass:-}" "$@"; }

# $1: user id, $2: algorithm of the primary key, $3: of the subkey, $4: expiry, $5: time it is made at
make() {
    pass=${pass:-} g ${5:+--faked-system-time "$5!"} --quick-generate-key "$1" "$2" cert,sign "$4"
    fpr=$(g --list-keys --with-colons "$1" | awk -F: '/^fpr/ {print $10; exit}')
    pass=${pass:-} g ${5:+--faked-system-time "$5!"} --quick-add-key "$fpr" "$3" encr "$4"
}
# An expired key signs no more, but its secret key is kept for the tests that fake an earlier time.
secret() { g --armor --export-secret-keys "$1" > "$2.sec.asc"; }
public() { g --armor --export "$1" > "$2.pub.asc"; }

for one in "ours rsa3072 rsa3072" "acme ed25519 cv25519" "large rsa4096 rsa4096" "mallory ed25519 cv25519"; do
    set -- $one
    make "$1 <$1@example.com>" "$2" "$3" 0
    secret "$1@" "$1"
    public "$1@" "$1"
done

pass=sesame make "locked <locked@example.com>" ed25519 cv25519 0
pass=sesame secret "locked@" locked
public "locked@" locked

# Signs with a subkey, as careful senders do.
make "subkey <subkey@example.com>" ed25519 cv25519 0
g --quick-add-key "$(g --list-keys --with-colons subkey@ | awk -F: '/^fpr/ {print $10; exit}')" ed25519 sign 0
secret "subkey@" subkey
public "subkey@" subkey

make "expired <expired@example.com>" ed25519 cv25519 2020-06-01 20200101T000000
secret "expired@" expired
public "expired@" expired

make "revoked <revoked@example.com>" ed25519 cv25519 0
secret "revoked@" revoked
fpr=$(g --list-keys --with-colons revoked@ | awk -F: '/^fpr/ {print $10; exit}')
sed 's/^:---/---/' "$home/openpgp-revocs.d/$fpr.rev" | g --import
public "revoked@" revoked
