package secrets

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"pgregory.net/rapid"
)

var here = Place{"production", "shop", "database-url"}

func key(t testing.TB) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// What is sealed for a place opens to the same bytes there, and nowhere else.
func TestSealAndOpen(t *testing.T) {
	id, other := key(t), key(t)
	rapid.Check(t, func(r *rapid.T) {
		value := rapid.SliceOfN(rapid.Byte(), 1, 4096).Draw(r, "value")
		sealed, err := Seal(here, value, []age.Recipient{id.Recipient(), other.Recipient()})
		if err != nil {
			r.Fatal(err)
		}
		for _, with := range []age.Identity{id, other} {
			got, err := Open(here, sealed, []age.Identity{with})
			if err != nil || !bytes.Equal(got, value) {
				r.Fatalf("got %d bytes, %v", len(got), err)
			}
		}
		for _, place := range []Place{{"staging", "shop", "database-url"}, {"production", "shop2", "database-url"}, {"production", "shop", "database"}} {
			if _, err := Open(place, sealed, []age.Identity{id}); !errors.Is(err, ErrMisplaced) {
				r.Fatalf("%s: %v", place, err)
			}
		}
	})
}

// raw seals a plaintext as it is, without the first line that Seal writes.
func raw(t testing.TB, text string, to age.Recipient) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := age.Encrypt(&b, to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(text)); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestOpenRefuses(t *testing.T) {
	id := key(t)
	head := here.head()
	good := raw(t, head+"x", id.Recipient())
	cut := append([]byte{}, good[:len(good)-1]...)
	flipped := append([]byte{}, good...)
	flipped[len(flipped)-1] ^= 1
	for name, c := range map[string]struct {
		sealed []byte
		want   error
	}{
		"binary form":     {good, nil},
		"for others":      {raw(t, head+"x", key(t).Recipient()), ErrUnopened},
		"cut":             {cut, ErrUnopened},
		"flipped":         {flipped, ErrUnopened},
		"not age":         {[]byte("hunter2"), ErrUnopened},
		"nothing":         {nil, ErrUnopened},
		"no first line":   {raw(t, "hunter2", id.Recipient()), ErrMisplaced},
		"another format":  {raw(t, "teal-secret-v2 production/shop/database-url\nx", id.Recipient()), ErrMisplaced},
		"a longer name":   {raw(t, strings.TrimSuffix(head, "\n")+"-2\nx", id.Recipient()), ErrMisplaced},
		"carriage":        {raw(t, strings.TrimSuffix(head, "\n")+"\r\nx", id.Recipient()), ErrMisplaced},
		"value on line 1": {raw(t, strings.TrimSuffix(head, "\n")+" hunter2\nx", id.Recipient()), ErrMisplaced},
		"value as a path": {raw(t, "teal-secret-v1 https://u:hunter2@db/shop\nx", id.Recipient()), ErrMisplaced},
		"empty":           {raw(t, head, id.Recipient()), ErrEmpty},
		"largest":         {raw(t, head+strings.Repeat("x", MaxSecret), id.Recipient()), nil},
		"too large":       {raw(t, head+strings.Repeat("x", MaxSecret+1), id.Recipient()), ErrTooLarge},
		"far too large":   {raw(t, head+strings.Repeat("x", 3*MaxSecret), id.Recipient()), ErrTooLarge},
	} {
		got, err := Open(here, c.sealed, []age.Identity{id})
		if !errors.Is(err, c.want) || (err == nil) != (len(got) > 0) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error tells the value: %v", name, err)
		}
	}
	for _, value := range []Secret{nil, make(Secret, MaxSecret+1)} {
		if _, err := Seal(here, value, []age.Recipient{id.Recipient()}); err == nil {
			t.Errorf("sealed %d bytes", len(value))
		}
	}
}

func TestRecipients(t *testing.T) {
	id := key(t)
	got, err := ParseRecipients("recipients.txt", []byte("# hosts of production\n\n  "+id.Recipient().String()+"  \r\n"))
	if err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
	for text, want := range map[string]string{
		"":                 "names no recipient",
		"# nothing\n":      "names no recipient",
		"\nage1nonsense\n": "recipients.txt:2: age1nonsense is no age recipient",
		id.String() + "\n": "recipients.txt:1: a line with a private key",
		"h1: " + strings.ToLower(id.String()) + "\n": "recipients.txt:1: a line with a private key",
		strings.Repeat("x", 100_000):                 "a line is too long",
	} {
		_, err := ParseRecipients("recipients.txt", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(strings.ToUpper(err.Error()), id.String()) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

func TestIdentityFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "identity.txt")
	write := func(text string, mode os.FileMode) {
		t.Helper()
		if err := errors.Join(os.WriteFile(file, []byte(text), 0o600), os.Chmod(file, mode)); err != nil {
			t.Fatal(err)
		}
	}
	id := key(t)
	write("# created\n"+id.String()+"\n", 0o400)
	if ids, err := LoadIdentity(file); err != nil || len(ids) != 1 {
		t.Errorf("%v, %v", ids, err)
	}
	_ = os.Chmod(file, 0o600)
	write(id.String()+"\n", 0o640)
	if _, err := LoadIdentity(file); err == nil || !strings.Contains(err.Error(), "chmod 400") {
		t.Error(err)
	}
	_ = os.Chmod(file, 0o600)
	write(id.String()[:30]+"\n", 0o600)
	if _, err := LoadIdentity(file); err == nil || strings.Contains(err.Error(), "AGE-SECRET") {
		t.Error(err)
	}
	if _, err := LoadIdentity(file + "2"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// However it is printed, a secret is not in the text.
func TestSecretIsNeverPrinted(t *testing.T) {
	s := Secret("hunter2")
	var b bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&b, nil))
	log.Info("x", "secret", s, "in", struct{ S Secret }{s}, "list", []Secret{s})
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "secret", s, "in", map[string]Secret{"a": s})
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T %v"} {
		fmt.Fprintf(&b, verb+"\n", s)
		fmt.Fprintf(&b, verb+"\n", struct{ S Secret }{s})
		fmt.Fprintf(&b, verb+"\n", &s)
	}
	data, err := json.Marshal(map[string]any{"a": s, "b": []Secret{s}, "c": Item{value: s}})
	if err != nil {
		t.Fatal(err)
	}
	b.Write(data)
	fmt.Fprintf(&b, "%v %+v", pinned{values: map[string]Secret{"a": s}}, Item{value: s})
	for _, form := range []string{"hunter2", "68756e74657232", "aHVudGVyMg", "104 117 110"} {
		if strings.Contains(b.String(), form) {
			t.Errorf("%s is in:\n%s", form, b.String())
		}
	}
}

func FuzzOpen(f *testing.F) {
	id, err := age.ParseX25519Identity("AGE-SECRET-KEY-1QJEPQ9K0Y0TFCXLLSKLGMPS0GZUA8WY7LYF7FJCKL2MCEVMGNTSQ5JNR6H")
	if err != nil {
		if id, err = age.GenerateX25519Identity(); err != nil {
			f.Fatal(err)
		}
	}
	sealed, err := Seal(here, Secret("x"), []age.Recipient{id.Recipient()})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add(raw(f, here.head()+"x", id.Recipient()))
	f.Add([]byte("age-encryption.org/v1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := Open(here, data, []age.Identity{id})
		if (err == nil) != (len(got) > 0) || len(got) > MaxSecret {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	})
}
