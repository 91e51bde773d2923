package Text::Stats;

use strict;
use warnings;

sub new {
    my ($class, $text) = @_;
    return bless { text => $text // '' }, $class;
}

sub lines {
    my ($self) = @_;
    return scalar split /\n/, $self->{text};
}

sub words {
    my ($self) = @_;
    return $self->{text} =~ /[[:alpha:]']+/g;
}

1;
