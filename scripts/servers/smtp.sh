# shellcheck shell=bash
# A mail server that keeps what it is sent: in the clear, with STARTTLS two ports higher, under TLS one higher.

# The system's own: the package is Debian's.
SMTP_PYTHON=/usr/bin/python3

smtp_instances() { echo smtp; }

smtp_urls() {
    say "SMTP_URL=smtp://127.0.0.1:$(port_of smtp)"
    say "SMTP_TLS_URL=smtps://localhost:$(($(port_of smtp) + 1))"
    # An address that leads here and is not called loopback: in the clear nothing may be said to it.
    say "SMTP_STARTTLS_URL=smtp://0.0.0.0:$(($(port_of smtp) + 2))"
    say "SMTP_MAILS=$(home_of smtp)/mails"
    say "SMTP_AUTHORITY=$(home_of smtp)/certificate.pem"
}

# Its certificate is made anew each time.
smtp_start() {
    local home port
    home=$(home_of smtp) port=$(port_of smtp)
    mkdir -p "$home/mails"
    chmod 700 "$home"
    if [[ ! -f $home/key.pem ]]; then
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=mail.test" \
            -addext "subjectAltName=DNS:localhost,IP:0.0.0.0" -addext "basicConstraints=critical,CA:FALSE" \
            -keyout "$home/key.pem" -out "$home/certificate.pem" 2>>"$home/log"
    fi
    spawn smtp "$SMTP_PYTHON" "$here/servers/smtp.py" \
        "$home/mails" "$port" "$((port + 2))" "$((port + 1))" "$home/certificate.pem" "$home/key.pem"
}

smtp_greets() { (exec 3<>"/dev/tcp/127.0.0.1/$1" && read -r -t 2 line <&3 && [[ $line == 220* ]]); }

smtp_is_ready() { smtp_greets "$(port_of smtp)" && smtp_greets "$(($(port_of smtp) + 2))"; }
smtp_is_whole() { smtp_is_ready; }
