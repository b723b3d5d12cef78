# Carries bytes between 127.0.0.1:PORT and a unix socket. Needs no more than Debian's perl-base.
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;

my ($path, $port) = @ARGV;
my $most = 256 * 1024;
my $door = IO::Socket::INET->new(Listen => 64, LocalAddr => '127.0.0.1', LocalPort => $port, ReuseAddr => 1) or exit 1;
$SIG{PIPE} = 'IGNORE';
print "listening";
open STDOUT, '>', '/dev/null';

my (%socket, %peer, %unsent, %ended);    # by file number; ended: it has said all

sub drop {
    for my $fd (@_) {
        next unless my $gone = delete $socket{$fd};
        delete $_->{$fd} for \%peer, \%unsent, \%ended;
        close $gone;
    }
}

sub welcome {
    my $near = $door->accept or return;
    my $far = IO::Socket::UNIX->new(Peer => $path) or return close $near;
    for my $pair ([$near, $far], [$far, $near]) {
        my ($one, $other) = @$pair;
        $one->blocking(0);
        my $fd = fileno $one;
        ($socket{$fd}, $peer{$fd}, $unsent{$fd}) = ($one, fileno $other, '');
    }
}

sub hear {
    my ($fd) = @_;
    my $other = $peer{$fd};
    my $got = sysread $socket{$fd}, my $data, 65536;
    return if !defined $got && ($!{EAGAIN} || $!{EINTR});
    return drop($fd, $other) unless defined $got;
    $unsent{$other} .= $data;
    $ended{$fd} = 1 unless $got;
    finish($other) unless $got;
}

sub speak {
    my ($fd) = @_;
    my $put = syswrite $socket{$fd}, $unsent{$fd};
    return if !defined $put && ($!{EAGAIN} || $!{EINTR});
    return drop($fd, $peer{$fd}) unless defined $put;
    substr($unsent{$fd}, 0, $put, '');
    finish($fd);
}

# Once everything is passed on, pass on that there is no more.
sub finish {
    my ($fd) = @_;
    my $other = $peer{$fd};
    return if length $unsent{$fd} || !$ended{$other};
    shutdown $socket{$fd}, 1;
    drop($fd, $other) if $ended{$fd} && !length $unsent{$other};
}

while (1) {
    my @hearing = grep { !$ended{$_} && length $unsent{ $peer{$_} } < $most } keys %socket;
    my @speaking = grep { length $unsent{$_} } keys %socket;
    my $in  = IO::Select->new($door, @socket{@hearing});
    my $out = IO::Select->new(@socket{@speaking});
    my ($readable, $writable) = IO::Select->select($in, $out, undef) or next;
    for my $one (@$writable) { my $fd = fileno $one; speak($fd) if defined $fd && $socket{$fd} }
    for my $one (@$readable) {
        if ($one == $door) { welcome(); next }
        my $fd = fileno $one;
        hear($fd) if defined $fd && $socket{$fd};
    }
}
