package account

import (
	"log/slog"
	"strings"
	"testing"

	"dinkymail/message"
)

func address(t *testing.T, text string) message.Address {
	t.Helper()
	a, err := message.ParseAddress(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// A key may send as the addresses and domains it names, whoever logs in as anybody, and a key
// without a secret is none.
func TestMaySendAs(t *testing.T) {
	a := New(Config{Own: []string{"noreply@example.org", "@example.org"}, Keys: []Key{
		{Name: "shop", Secret: "shop-secret", From: []string{"billing@example.org", "@shop.example.org", "rubbish"}},
		{Name: "any", Secret: "any-secret", From: []string{"*"}}, {Name: "none", Secret: "none-secret"}, {Name: "unset"},
	}}, slog.New(slog.DiscardHandler))
	shop, _ := a.Key("shop-secret")
	any, _ := a.Key("any-secret")
	none, found := a.Key("none-secret")
	if !found || shop.Name != "shop" {
		t.Fatalf("the keys are %+v, %+v", shop, none)
	}
	for name, c := range map[string]struct {
		user User
		from string
		want bool
	}{
		"named":               {shop, "Billing@example.org", true},
		"in the domain":       {shop, "x@shop.example.org", true},
		"routed through it":   {shop, "x%example.net@shop.example.org", false},
		"another":             {shop, "x@example.org", false},
		"any":                 {any, "x@example.net", true},
		"without senders":     {none, "x@example.org", false},
		"a program":           {a.Programs(), "x@example.org", true},
		"a program elsewhere": {a.Programs(), "x@example.net", false},
		"anybody":             {Anybody("ada"), "x@example.net", true},
		"nobody":              {User{}, "x@example.org", false},
	} {
		if got := c.user.MaySendAs(address(t, c.from)); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	for _, secret := range []string{"", "guess"} {
		if user, found := a.Key(secret); found {
			t.Errorf("the key %q is that of %+v", secret, user)
		}
	}
	if fresh := a.With(Config{}); fresh.Any() {
		t.Error("somebody is left")
	} else if _, found := fresh.Key("shop-secret"); found {
		t.Error("an old key still opens")
	}
}

// What is no address and no domain is reported and matches nothing.
func TestParseAddresses(t *testing.T) {
	set, err := ParseAddresses([]string{" ada@example.org", "@example.net", "", "rubbish", "@a b"})
	if err == nil || !strings.Contains(err.Error(), "rubbish") || !strings.Contains(err.Error(), "@a b") {
		t.Errorf("error = %v", err)
	}
	if !set.Names(address(t, "Ada@example.org")) || set.Names(address(t, "ada@example.net")) || !set.Has(address(t, "ada@example.net")) ||
		set.Has(message.Address{}) {
		t.Errorf("the set is %+v", set)
	}
}
