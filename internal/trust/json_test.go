package trust

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestStrictJSON(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, good := range []string{
		`{}`, ` {"a":[1,"x",true,null,{"b":9007199254740991}]} ` + "\n", `"\ud83d\ude00 \\ud800 \\\\ \""`, deep(16), `{"a":{"x":1},"b":{"x":1}}`, `[0]`, `"]]]{{{"`,
	} {
		if _, err := strictJSON([]byte(good)); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for name, bad := range map[string]string{
		"empty":                `  `,
		"byte order mark":      "\ufeff{}",
		"two values":           `{}{}`,
		"trailing text":        `{} x`,
		"trailing comma":       `{"a":1,}`,
		"comment":              `{/**/}`,
		"cut":                  `{"a":`,
		"bare word":            `{a:1}`,
		"single quotes":        `{'a':1}`,
		"NaN":                  `[NaN]`,
		"duplicate":            `{"a":1,"a":1}`,
		"duplicate, deep":      `[{"x":{"critical":0,"critical":5}}]`,
		"duplicate by escape":  `{"a":1,"\u0061":2}`,
		"fraction":             `[1.0]`,
		"exponent":             `[1e3]`,
		"negative":             `[-1]`,
		"minus zero":           `[-0]`,
		"leading zero":         `[01]`,
		"2^53":                 `[9007199254740992]`,
		"beyond 64 bits":       `[99999999999999999999]`,
		"too deep":             deep(17),
		"very deep":            strings.Repeat("[", 30000),
		"deep objects":         strings.Repeat(`{"a":`, 17) + "1" + strings.Repeat("}", 17),
		"invalid UTF-8":        "[\"\xff\"]",
		"overlong UTF-8":       "[\"\xc0\xaf\"]",
		"unpaired high":        `["\ud800"]`,
		"unpaired low":         `["\udc00"]`,
		"high then text":       `["\ud800x"]`,
		"high then high":       `["\ud800\ud800"]`,
		"high, then backslash": `["\ud800\\udc00"]`,
		"after a backslash":    `["\\\ud800"]`,
		"control character":    "[\"\x01\"]",
		"line feed in string":  "[\"\n\"]",
	} {
		if v, err := strictJSON([]byte(bad)); err == nil {
			t.Errorf("%s: accepted as %v", name, v)
		}
	}
}

func TestCanonicalJSON(t *testing.T) {
	got, err := canonicalJSON(map[string]any{
		"\ufb33": int64(1), "\U0001f600": int64(2), "b": []any{}, "a": "\u2028<&>\"\\\x01\n\u00e9\x7f", "": true,
	})
	// Sorted by UTF-16 units: the emoji's surrogates come before U+FB33.
	want := "{\"\":true,\"a\":\"\u2028<&>\\\"\\\\\\u0001\\n\u00e9\x7f\",\"b\":[],\"\U0001f600\":2,\"\ufb33\":1}"
	if err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
	for _, bad := range []any{-1, int64(-1), int64(1 << 53), 1.5, "\xff", nil} {
		if out, err := canonicalJSON(bad); err == nil {
			t.Errorf("%v: %s", bad, out)
		}
	}
}

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"plain é 日本":                   "plain é 日本",
		"\x1b[2J\n\r\t\x00\x7f":        `\x1b[2J\n\r\t\x00\x7f`,
		"a\u202eb\u200bc\ufeff\u2066d": `a\u202eb\u200bc\ufeff\u2066d`,
		"\xff\xc0":                     `\xff\xc0`,
		`back\slash`:                   `back\\slash`,
		"tag \U000e0041":               `tag \U000e0041`,
		"\u0085\u009b":                 `\u0085\u009b`,
		"nbsp\u00a0":                   `nbsp\u00a0`,
	} {
		if got := Escape(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
	if got := Escape(strings.Repeat("x", 5000)); len(got) > 1100 || !strings.HasSuffix(got, "…") {
		t.Errorf("long text is not cut: %d bytes", len(got))
	}
}

func FuzzStrictJSON(f *testing.F) {
	f.Add([]byte(`{"a":[1,"\ud83d\ude00"]}`))
	f.Add([]byte(`["\\\ud800"]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := strictJSON(data)
		if err != nil {
			return
		}
		// What is accepted reads the same for the standard reader.
		var std any
		if err := json.Unmarshal(data, &std); err != nil {
			t.Fatalf("accepted, but: %v", err)
		}
		mine, err := json.Marshal(plainJSON(v))
		if err != nil {
			t.Fatal(err)
		}
		dec := json.NewDecoder(strings.NewReader(string(data)))
		dec.UseNumber()
		_ = dec.Decode(&std)
		theirs, _ := json.Marshal(std)
		if string(mine) != string(theirs) {
			t.Fatalf("read as %s, standard reads %s", mine, theirs)
		}
	})
}

func plainJSON(v jsonValue) any {
	switch v := v.(type) {
	case jsonObject:
		m := map[string]any{}
		for _, x := range v {
			m[x.name] = plainJSON(x.value)
		}
		return m
	case []jsonValue:
		l := []any{}
		for _, x := range v {
			l = append(l, plainJSON(x))
		}
		return l
	}
	return v
}
