//go:build interop

package interop

import (
	"os"
	"strings"
	"testing"
)

// eximPrograms is where .ci/install puts two programs of Debian's exim4-base, a package that cannot
// be installed beside Postfix.
const eximPrograms = "/usr/local/libexec/exim4-base/"

// stocked is a desk with six messages that wait, because grey.example wants to see them later.
func stocked(t *testing.T) (*desk, *strings.Replacer) {
	t.Helper()
	tool(t, "jq", "jq")
	d := newDesk(t, nil)
	d.refuse("@grey.example", "451 4.7.1 Greylisted, try later")
	var names []string
	for _, m := range []struct{ name, from, to string }{
		{"ONE", "shop@example.org", "ada@grey.example"}, {"TWO", "shop@example.org", "bob@grey.example"},
		{"THREE", "news@example.org", "carol@grey.example"}, {"FOUR", "<>", "dave@grey.example"},
		{"FIVE", "news@example.org", "eve@grey.example"}, {"SIX", "wiki@example.org", "mail@other.grey.example"},
	} {
		names = append(names, m.name, d.send(m.from, m.to, "Hello"))
		if m.name == "FIVE" {
			d.refuse("@other.grey.example", "450 4.2.2 Mailbox full")
		}
	}
	d.deferred(6)
	return d, strings.NewReplacer(names...)
}

// The pipelines by which people look into and clear the queues of Postfix work as they stand in
// their notes.
func TestPostfixPipelines(t *testing.T) {
	d, names := stocked(t)
	for _, c := range []struct{ script, want string }{
		{`mailq | grep -c '^[0-9A-Za-z]'`, "6\n"},
		{`mailq | tail -n 1`, "-- 1 Kbytes in 6 Requests.\n"},
		{`postqueue -p | egrep -c '^ *\(.*Greylisted'`, "5\n"},
		{`postqueue -j | jq -r 'select(.queue_name == "deferred") | .recipients[].address' | cut -d@ -f2 | sort | uniq -c | sort -rn | awk '{print $1, $2}'`,
			"5 grey.example\n1 other.grey.example\n"},
		{`postqueue -j | jq -r 'select(.recipients[0].delay_reason | test("Mailbox full")) | .queue_id'`, "SIX\n"},
		{`postqueue -p | grep shop@example.org | awk '{print $1}' | tr -d '*!' | head -1 | postsuper -h -`,
			"postsuper: ONE: placed on hold\npostsuper: Placed on hold: 1 message\n"},
		{`postcat -qh $(mailq | awk '/!/ {print $1}' | tr -d '!') | grep ^To:`, "To: ada@grey.example\n"},
		{`postqueue -p | grep shop@example.org | awk '{print $1}' | tr -d '*!' | postsuper -d -`,
			"postsuper: ONE: removed\npostsuper: TWO: removed\npostsuper: Deleted: 2 messages\n"},
		{`mailq | tail -n +2 | awk 'BEGIN { RS = "" } /carol@grey.example/ { print $1 }' | tr -d '*!' | postsuper -d -`,
			"postsuper: THREE: removed\npostsuper: Deleted: 1 message\n"},
		{`mailq | tail -n +2 | grep -v '^ *(' | awk 'BEGIN { RS = "" } { if ($7 == "MAILER-DAEMON") print $1 }' | tr -d '*!' | postsuper -d -`,
			"postsuper: FOUR: removed\npostsuper: Deleted: 1 message\n"},
		{`for i in $(mailq | grep news@ | cut -d' ' -f1 | tr -d '*!'); do postsuper -d $i; done`,
			"postsuper: FIVE: removed\npostsuper: Deleted: 1 message\n"},
		{`postsuper -d ALL deferred; mailq`, "postsuper: Deleted: 1 message\nMail queue is empty\n"},
		{`dinkymail undo | wc -l; mailq | grep -c wiki`, "1\n1\n"},
	} {
		if got, want := d.sh(c.script), names.Replace(c.want); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", c.script, got, want)
		}
	}
}

// So do those for Exim, with Debian's own exiqsumm reading our list.
func TestEximPipelines(t *testing.T) {
	d, names := stocked(t)
	for _, program := range []string{"exiqsumm", "exiqgrep"} {
		if _, err := os.Stat(eximPrograms + program); err != nil {
			missing(t, program+" of Debian's exim4-base: .ci/install")
		}
	}
	for _, c := range []struct{ script, want string }{
		{`exim -bpc`, "6\n"},
		{`exim -bp | ` + eximPrograms + `exiqsumm -c | awk 'NF == 5 {print $1, $5}'`, "Count Domain\n----- ------\n5 grey.example\n1 other.grey.example\n6 TOTAL\n"},
		{`exim -bp | awk '/<>/ {print $3}'`, "FOUR\n"},
		{`exiqgrep -f '<>' -i | xargs exim -Mf`, "Message FOUR is now frozen\n"},
		{`exim -bp | ` + eximPrograms + `exiqsumm -f | grep '(f)' | awk '{print $1, $5}'`, "1 grey.example\n"},
		{`exim -bp | grep frozen | awk '{print $3}' | xargs exim -Mrm`, "Message FOUR has been removed\n"},
		{`exiqgrep -i -f shop@example.org | xargs exim -Mrm`, "Message ONE has been removed\nMessage TWO has been removed\n"},
		{`exim -Mvl $(exiqgrep -i -r carol) | grep -c Greylisted`, "1\n"},
		{`exim -Mvh $(exiqgrep -i -r carol) | grep -c 'Subject: Hello'`, "1\n"},
		{`exiqgrep -o 3600 -c; exiqgrep -y 3600 -c`, "0 matches out of 3 messages\n3 matches out of 3 messages\n"},
		{`exiqgrep -i | xargs exim -Mrm | sort`, "Message FIVE has been removed\nMessage SIX has been removed\nMessage THREE has been removed\n"},
		{`exim -bpc; exim -bp`, "0\n"},
	} {
		got := d.sh(c.script)
		if strings.HasSuffix(c.script, "sort") {
			c.want = d.sh("printf '" + names.Replace(c.want) + "' | sort")
		}
		if want := names.Replace(c.want); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", c.script, got, want)
		}
	}
}
