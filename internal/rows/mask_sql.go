package rows

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// The functions live in the session's temporary schema for the length of the transaction. They are deterministic: the same
// value gives the same result in every column, which is what keeps foreign keys and joins whole. mask_hash is HMAC-SHA-256
// (RFC 2104) written with the server's own sha256: two hashes over two pads of the salt.
const maskFunctions = `
CREATE FUNCTION pg_temp.mask_hash(v text) RETURNS text LANGUAGE sql STABLE STRICT AS
$f$ SELECT pg_catalog.encode(pg_catalog.sha256('\x%[1]s'::bytea || pg_catalog.sha256('\x%[2]s'::bytea || pg_catalog.convert_to(v, 'UTF8'))), 'hex') $f$;

CREATE FUNCTION pg_temp.mask_number(v text, bound int) RETURNS int LANGUAGE sql STABLE STRICT AS
$f$ SELECT (('x' || pg_catalog.left(pg_temp.mask_hash(v), 8))::bit(32)::bigint %% bound)::int $f$;

CREATE FUNCTION pg_temp.mask_name(v text) RETURNS text LANGUAGE sql STABLE STRICT AS
$f$ SELECT (ARRAY['Ada','Ben','Cleo','Dan','Eva','Finn','Gia','Hugo','Ida','Jon','Kim','Leo','Mia','Ned','Ola','Pia','Rex','Sue','Tom','Uma','Vic','Wes','Xia','Yan','Zoe'])[1 + pg_temp.mask_number(v, 25)]
	|| ' ' || (ARRAY['Ash','Birch','Cedar','Dale','Elm','Field','Grove','Hill','Iris','Juniper','Knoll','Lake','Moor','North','Oak','Pine','Quill','Reed','Stone','Thorn','Upland','Vale','Wood','Yew'])[1 + pg_temp.mask_number('2' || v, 24)]
	|| ' ' || pg_catalog.upper(pg_catalog.left(pg_temp.mask_hash(v), 12)) $f$;

CREATE FUNCTION pg_temp.mask_email(v text) RETURNS text LANGUAGE sql STABLE STRICT AS
$f$ SELECT 'user-' || pg_catalog.left(pg_temp.mask_hash(pg_catalog.lower(v)), 20) || '@example.invalid' $f$;

CREATE FUNCTION pg_temp.mask_keep_format(v text) RETURNS text LANGUAGE sql STABLE STRICT AS
$f$ SELECT coalesce(pg_catalog.string_agg(CASE
		WHEN c ~ '[0-9]' THEN pg_temp.mask_number(v || '/' || i, 10)::text
		WHEN c ~ '[a-z]' THEN pg_catalog.chr(97 + pg_temp.mask_number(v || '/' || i, 26))
		WHEN c ~ '[A-Z]' THEN pg_catalog.chr(65 + pg_temp.mask_number(v || '/' || i, 26))
		WHEN c ~ '[[:alpha:]]' THEN pg_catalog.chr(97 + pg_temp.mask_number(v || '/' || i, 26))
		ELSE c END, '' ORDER BY i), '')
	FROM pg_catalog.regexp_split_to_table(v, '') WITH ORDINALITY AS s(c, i) $f$;

CREATE FUNCTION pg_temp.mask_phone(v text) RETURNS text LANGUAGE sql STABLE STRICT AS
$f$ SELECT pg_catalog.left(v, 1) || pg_temp.mask_keep_format(pg_catalog.substr(v, 2)) $f$;`

const blockSize = 64 // of SHA-256, in bytes

func createMaskFunctions(ctx context.Context, tx pgx.Tx, salt []byte) error {
	if len(salt) > blockSize {
		return fmt.Errorf("a masking salt has at most %d bytes, not %d", blockSize, len(salt))
	}
	inner, outer := make([]byte, blockSize), make([]byte, blockSize)
	copy(inner, salt)
	copy(outer, salt)
	for i := range blockSize {
		inner[i] ^= 0x36
		outer[i] ^= 0x5c
	}
	if _, err := tx.Exec(ctx, fmt.Sprintf(maskFunctions, hex.EncodeToString(outer), hex.EncodeToString(inner)), pgx.QueryExecModeSimpleProtocol); err != nil {
		return fmt.Errorf("make the masking functions: %w", err)
	}
	return nil
}

// dropMaskFunctions removes the functions, and the salt that stands in them.
func dropMaskFunctions(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `DROP FUNCTION pg_temp.mask_phone(text), pg_temp.mask_keep_format(text), pg_temp.mask_email(text), pg_temp.mask_name(text), pg_temp.mask_number(text, int), pg_temp.mask_hash(text)`)
	return err
}
