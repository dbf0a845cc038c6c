package trust

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
	yaml "go.yaml.in/yaml/v3"
	"golang.org/x/crypto/ssh"
)

// key reads one key in one of the encodings that are allowed there. k says whose it is.
// One raw key belongs to one person or service, whatever it is wrapped in.
func (b *policyBuilder) key(n *yaml.Node, path string, k Key, encodings ...string) (Key, bool) {
	m := b.mapping(n, path, append([]string{"id", "notBefore", "notAfter"}, encodings...)...)
	k.NotBefore, k.NotAfter = b.time(m["notBefore"], path+".notBefore"), b.time(m["notAfter"], path+".notAfter")
	if !k.NotAfter.IsZero() && !k.NotAfter.After(k.NotBefore) {
		b.wrong(m["notAfter"], "%s.notAfter: not after notBefore", path)
	}
	if b.present(n, m["id"], path+".id") {
		k.ID = b.matching(m["id"], path+".id", keyIDForm, "a short id")
		if k.ID != "" && b.keyIDs[k.ID] {
			b.wrong(m["id"], "%s.id: %q again", path, k.ID)
		}
		b.keyIDs[k.ID] = true
	}
	encoding := ""
	for _, e := range encodings {
		if m[e] == nil {
			continue
		}
		if encoding != "" {
			b.wrong(n, "%s: %s and %s; want one of them", path, encoding, e)
			return Key{}, false
		}
		encoding = e
	}
	var err error
	switch encoding {
	case "":
		b.wrong(n, "%s.ssh is missing", path)
		return Key{}, false
	case "ssh":
		err = k.readSSH(b.text(m["ssh"], path+".ssh"))
	case "pem":
		k.Public, err = ParsePublicPEM([]byte(b.text(m["pem"], path+".pem")))
	case "openpgp":
		err = k.readOpenPGP(b.text(m["openpgp"], path+".openpgp"))
	}
	if err != nil {
		b.wrong(m[encoding], "%s.%s: not a public key that teal counts: %s", path, encoding, Escape(err.Error()))
		return Key{}, false
	}
	name := k.raw()
	if name == "" {
		name = k.pgpPrint
	}
	if first, ok := b.rawKeys[name]; ok {
		b.wrong(m[encoding], "%s.%s: the same key as %s; one key belongs to one person", path, encoding, first)
		return Key{}, false
	}
	b.rawKeys[name] = fmt.Sprintf("%s of %s", Escape(k.ID), Escape(k.Person+k.Service))
	if k.SSH != nil {
		b.p.byKey[string(k.SSH.Marshal())] = k
	} else if public, err := ssh.NewPublicKey(k.Public); err == nil { // a PEM key may sign as an SSH key too
		b.p.byKey[string(public.Marshal())] = k
	}
	return k, true
}

// readSSH reads a line of an .pub file. A plain ECDSA or Ed25519 key verifies envelopes
// too; a security key signs only with its flags and counter.
func (k *Key) readSSH(line string) (err error) {
	if k.SSH, err = parseSSHKeyLine(line); err != nil {
		return err
	}
	switch k.SSH.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384:
		k.Public = k.SSH.(ssh.CryptoPublicKey).CryptoPublicKey()
	}
	return nil
}

// maxOpenPGP bounds an armoured public key, in bytes.
const maxOpenPGP = 64 << 10

// readOpenPGP reads exactly one armoured public key.
func (k *Key) readOpenPGP(armoured string) error {
	if len(armoured) > maxOpenPGP {
		return fmt.Errorf("longer than %d bytes", maxOpenPGP)
	}
	list, err := openpgp.ReadArmoredKeyRing(strings.NewReader(armoured))
	if err != nil {
		return err
	}
	if len(list) != 1 || list[0].PrivateKey != nil {
		return fmt.Errorf("want one public key, found %d keys", len(list))
	}
	if len(list[0].Revocations) > 0 {
		return errors.New("the key is revoked by its owner")
	}
	k.OpenPGP, k.pgpPrint = armoured, hex.EncodeToString(list[0].PrimaryKey.Fingerprint)
	return nil
}
