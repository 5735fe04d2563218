# shellcheck shell=bash
# What is shown at the end, and what it comes to. Sourced by scripts/drill.

# The longest time in which nobody was called although somebody waited and something was left: from what the public was told, once a
# second. A look that failed is part of the stall around it.
# shellcheck disable=SC2016  # $ is jq's here
STALL='
def stall:
    reduce .timeline[] as $look ({ serving: 0, since: null, longest: 0 };
        if .since == null or $look.waiting == 0 or $look.remaining == 0 then
            .since = $look.seconds | .serving = ([.serving, $look.serving] | max)
        elif $look.serving > .serving then
            .longest = ([.longest, $look.seconds - .since] | max) | .since = $look.seconds | .serving = $look.serving
        else
            .longest = ([.longest, $look.seconds - .since] | max)
        end)
    | .longest;
'

# record_result FAULT NOTE…: one line of JSON per fault.
record_result() {
    local fault=$1 report=$FOLDER/$1/crowd.json ledger=$FOLDER/$1/ledger notes found=[]
    shift
    notes=$(jq -n '$ARGS.positional' --args -- "$@")
    if [[ -s $ledger ]]; then found=$(jq -Rn '[inputs | split("\t") | { name: .[0], broken: .[1] }]' "$ledger"); fi
    if [[ -s $report ]]; then
        jq -c --arg fault "$fault" --argjson notes "$notes" --argjson found "$found" "$STALL"'{
            fault: $fault, joined, turned_away, orders, paid, took_seconds, called_off,
            longest_join_seconds: (.joins_ms.max / 1000), longest_stall_seconds: stall,
            refusals, notes: $notes,
            promises: (reduce $found[] as $one ([.promises[] | { name, held, broken }];
                if any(.[]; .name == $one.name) then . else . + [{ name: $one.name, held: false, broken: [] }] end
                | map(if .name == $one.name then .held = false | .broken += [$one.broken] else . end)))
        }' "$report"
    else
        jq -n -c --arg fault "$fault" --argjson notes "$notes" --argjson found "$found" '{
            fault: $fault, promises: [$found[] | { name, held: false, broken: [.broken] }], notes: ($notes + ["no report"])
        }'
    fi >>"$FOLDER/results.jsonl"
}

print_tables() {
    jq -s . "$FOLDER/results.jsonl" >"$FOLDER/results.json"
    say ""
    say "What the buyers saw: $SHOPPERS came, $STOCK could be served"
    printf '  %-18s %7s %7s %7s %7s %9s %9s  %s\n' fault joined away orders paid "join max" stall refusals
    jq -r '
        def seconds: if . == null then "-" else "\(. * 10 | round / 10) s" end;
        .[] | [.fault, .joined // "-", .turned_away // "-", .orders // "-", .paid // "-",
            (.longest_join_seconds | seconds), (.longest_stall_seconds | seconds),
            ((.refusals // {}) | to_entries | map("\(.key) \(.value)") | join(", ") | if . == "" then "none" else . end)] | @tsv
    ' "$FOLDER/results.json" | while IFS=$'\t' read -r fault joined away orders paid join stall refusals; do
        printf '  %-18s %7s %7s %7s %7s %9s %9s  %s\n' "$fault" "$joined" "$away" "$orders" "$paid" "$join" "$stall" "$refusals"
    done
    print_promises
    say ""
    jq -r '.[] | .fault as $fault
        | ((.promises[] | select(.held | not) | "BROKEN  \($fault): \(.name): \(.broken | join("; "))"),
           (.notes[] | "remark  \($fault): \(.)"))' "$FOLDER/results.json"
    say "everything else is in $FOLDER"
}

# The promises are the columns: their names, once, slanting down.
print_promises() {
    local names name indent=""
    mapfile -t names < <(jq -r '[.[].promises[].name] | reduce .[] as $n ([]; if index([$n]) then . else . + [$n] end) | .[]' "$FOLDER/results.json")
    say ""
    say "The promises"
    for name in "${names[@]}"; do
        printf '  %-18s %s┌ %s\n' "" "$indent" "$name"
        indent+="│   "
    done
    jq -r --args '.[] | .fault as $fault | (.promises | map({ (.name): .held }) | add // {}) as $held
        | [$fault] + [$ARGS.positional[] | if $held[.] == null then "?" elif $held[.] then "ok" else "BROKEN" end] | @tsv' \
        "${names[@]}" <"$FOLDER/results.json" | while IFS=$'\t' read -ra cells; do
        printf '  %-18s' "${cells[0]}"
        for name in "${cells[@]:1}"; do printf ' %-3s' "$name"; done
        printf '\n'
    done
}

# The exit code: a broken promise is worse than anything else.
verdict() {
    jq -r '
        if any(.[].promises[]; .held | not) then 70
        elif any(.[]; .notes != [] or .promises == []) then 1
        else 0 end' "$FOLDER/results.json"
}
