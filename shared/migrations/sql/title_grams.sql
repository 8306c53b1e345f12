-- The texts of three characters in a title, in small letters: what a GIN index knows titles by. Its cost keeps the planner
-- from computing it for many rows.
CREATE FUNCTION title_grams(title text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 1000 AS $$
DECLARE
    lowered text := lower(title);
    grams text[] := '{}';
BEGIN
    FOR start IN 1 .. length(lowered) - 2 LOOP
        grams[start] := substr(lowered, start, 3);
    END LOOP;
    RETURN grams;
END $$;
