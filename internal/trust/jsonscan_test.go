package trust

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestCheckJSON(t *testing.T) {
	many := func(n int, last string) string {
		var b strings.Builder
		b.WriteString("{")
		for i := range n {
			fmt.Fprintf(&b, `"k%d":%d,`, i, i)
		}
		return b.String() + fmt.Sprintf("%q:0}", last)
	}
	for text, want := range map[string]string{
		`{}`: "", `[]`: "", `"a"`: "", `-0.5e+10`: "", `true`: "", ` null `: "", `{"a":{"a":[{"a":1}]},"b":[]}`: "", `"\ud83d\ude00 \u00e9"`: "",
		many(200, "z"): "", many(200, "k7"): `duplicate member "k7"`, many(3, "k1"): `duplicate member "k1"`,
		``: "no value", `{`: "no member name", `[1,]`: "no value", `{"a":1,}`: "no member name", `[1 2]`: "no comma", `{"a" 1}`: "no colon", `{"a":1]`: "no comma",
		`{"a":1,"\u0061":2}`: "duplicate", `{"a":{"b":1,"b":2}}`: "duplicate", `01`: "text after", `1.`: "bad number", `-`: "bad number", `1e`: "bad number", `+1`: "no value",
		`NaN`: "no value", `"\x"`: "bad escape", "\"\n\"": "control character", `"`: "without end", `"\`: "without end", `"\u12"`: "bad escape",
		`"\ud800"`: "unpaired surrogate", `"\udc00\ud800"`: "unpaired surrogate", `"\ud800\u0041"`: "unpaired surrogate", `1 2`: "text after", "\ufeff{}": "no value",
		"\"\xff\"": "not UTF-8", strings.Repeat("[", 33) + strings.Repeat("]", 33): "", strings.Repeat("[", 100000): "nested deeper",
		`{"Severity":1,"severity":2}`: "", // two names: readers that fold case are not ours
	} {
		err := checkJSON([]byte(text), 40)
		switch {
		case want == "" && err != nil:
			t.Errorf("%.60s: %v", text, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%.60s: %v, want %s", text, err, want)
		}
	}
}

// any reads a value as encoding/json would.
func (c *cursor) any() any {
	switch c.peek() {
	case '{':
		m := map[string]any{}
		c.object(func(name string) { m[name] = c.any() })
		return m
	case '[':
		l := []any{}
		c.array(func() { l = append(l, c.any()) })
		return l
	case '"':
		return c.word()
	case 't', 'f':
		b, _ := c.boolean()
		return b
	case 'n':
		c.skip()
		return nil
	}
	n, _ := c.number()
	return n
}

// FuzzCheckJSON: what passes is what encoding/json reads, with the same values; what
// encoding/json takes and this refuses has a reason that encoding/json does not know.
func FuzzCheckJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5e3,-0,"x\n\u00e9\ud83d\ude00",true,false,null,{}],"b":{"c":[]}}`, `[[[]]]`, `"\ud800"`, `{"a":1,"a":2}`, ` 1 `, `{"a" : {"b":"\\"} }`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		err := checkJSON(data, 64)
		if err != nil {
			known := false
			for _, why := range []string{"duplicate", "surrogate", "deeper", "UTF-8"} {
				known = known || strings.Contains(err.Error(), why)
			}
			if !known && json.Valid(data) {
				t.Fatalf("refused valid JSON: %v", err)
			}
			return
		}
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.UseNumber()
		var want any
		if err := dec.Decode(&want); err != nil {
			t.Fatalf("encoding/json refuses: %v", err)
		}
		c := cursor{data: data}
		if got := c.any(); !reflect.DeepEqual(got, want) {
			t.Fatalf("read %#v, want %#v", got, want)
		}
		c = cursor{data: data}
		if got := c.raw(); !bytes.Equal(bytes.TrimSpace(got), bytes.Trim(data, " \n\r\t")) {
			t.Fatalf("skipped %q of %q", got, data)
		}
	})
}
