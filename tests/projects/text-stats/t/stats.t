use strict;
use warnings;

use Test::More;

use Text::Stats;

my $stats = Text::Stats->new("The cat saw\nthe other cat.\n");

is($stats->lines, 2, 'two lines');
is_deeply([$stats->words], [qw(The cat saw the other cat)], 'words without punctuation');
is(Text::Stats->new('')->lines, 0, 'no text, no line');
is(Text::Stats->new(undef)->lines, 0, 'nothing at all');

done_testing;
