# Prints one TAP line a case; exit code 1 when one fails.
cd "$(dirname "$0")/.." || exit 2
number=0 failed=0

expect() { # name, wanted, got
    number=$((number + 1))
    if [ "$2" = "$3" ]; then
        echo "ok $number - $1"
    else
        echo "not ok $number - $1: wanted '$2', got '$3'"
        failed=1
    fi
}

expect "a name" "Hello, Ada!" "$(sh greet.sh Ada)"
expect "nobody named" "Hello, world!" "$(sh greet.sh)"

echo "1..$number"
exit $failed
