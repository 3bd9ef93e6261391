package postfix

// helps are what the commands say to --help, which Postfix's own do not know: how each is called,
// what it is for, and an example.
var helps = map[string]string{
	"mailq": "Usage: mailq\n\nLists what waits, as Postfix does.\n" +
		"\nExample:\n\n    mailq\n",
	"postqueue": "Usage: " + postqueueUsage +
		"\n\nLists what waits (-p; -j as JSON), or tries all of it (-f), one message (-i) or one domain's (-s) now.\n" +
		"\nExample:\n\n    postqueue -s example.com\n",
	"postcat": "Usage: " + postcatUsage + "\n\nPrints messages of the queue.\n" +
		"\nExample:\n\n    postcat -hq 0cagh3h68onkmkga\n",
	"postsuper": "Usage: " + postsuperUsage + "\n\nActs on messages. dinkymail undo brings back what -d deletes.\n" +
		"\nExample:\n\n    postsuper -h 0cagh3h68onkmkga\n",
	"postconf": "Usage: " + postconfUsage + "\n\nPrints the settings under Postfix's names; it edits none.\n" +
		"\nExample:\n\n    postconf -n\n",
	"postmap": "Usage: " + postmapUsage + "\n\nLooks up keys in text tables; none has to be built.\n" +
		"\nExample:\n\n    postmap -q info@example.com texthash:/etc/dinkymail/virtual\n",
	"postfix": "Usage: " + postfixVerbs + "\n\nLooks after the mail system.\n" +
		"\nExample:\n\n    postfix check\n",
	"newaliases": "Usage: newaliases\n\nChecks ALIASES_FILE; there is nothing to build.\n" +
		"\nExample:\n\n    newaliases\n",
}
