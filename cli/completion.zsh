#compdef dinkymail
# Completion of dinkymail for zsh. The program itself knows what may follow.
_dinkymail() {
	local line
	local -a found
	for line in "${(@f)$("${words[1]}" complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
		[[ -n $line ]] && found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
	done
	if (( ${#found} )); then
		_describe dinkymail found
	else
		_files
	fi
}
if [[ $funcstack[1] == _dinkymail ]]; then
	_dinkymail "$@"
else
	compdef _dinkymail dinkymail
fi
