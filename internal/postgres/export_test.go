package postgres

// VerifierWithSalt lets tests compute what PostgreSQL computed.
var VerifierWithSalt = verifierWithSalt

// SocketDirOf is where the socket of a data directory lies.
var SocketDirOf = socketDir
