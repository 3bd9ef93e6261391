# Completion of dinkymail for fish. The program itself knows what may follow.
function __dinkymail_complete
	set -l words (commandline -opc) (commandline -ct)
	$words[1] complete -- $words[2..-1] 2>/dev/null
end
complete -c dinkymail -a '(__dinkymail_complete)'
