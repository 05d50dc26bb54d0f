<?php
// PHP's PDO with its driver for PostgreSQL.

class NotThere extends Exception {}

function connect(?string $password = null): PDO
{
    $dsn = sprintf('pgsql:host=%s;port=%s;dbname=%s;sslmode=verify-full;sslrootcert=%s', getenv('PGHOST'),
        getenv('PGPORT'), getenv('PGDATABASE'), getenv('PGSSLROOTCERT'));
    return new PDO($dsn, getenv('PGUSER'), $password ?? getenv('PGPASSWORD'),
        [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION, PDO::ATTR_EMULATE_PREPARES => false]);
}

function lines(string $name): array
{
    return file(__DIR__ . '/' . $name, FILE_IGNORE_NEW_LINES);
}

function rows(PDO $pdo, string $query): array
{
    return $pdo->query($query)->fetchAll(PDO::FETCH_NUM);
}

function expect(mixed $found, mixed $wanted, string $what): void
{
    if ($found !== $wanted) {
        throw new Exception("$what: " . json_encode($found) . ' instead of ' . json_encode($wanted));
    }
}

function fails(callable $run, string $state, string $what): void
{
    try {
        $run();
    } catch (PDOException $error) {
        expect($error->errorInfo[0] ?? (string) $error->getCode(), $state, $what);
        return;
    }
    throw new Exception("$what did not fail");
}

$checks = [
    'connect' => function (PDO $pdo) {
        expect(rows($pdo, 'SELECT 1'), [[1]], 'SELECT 1');
        try {
            connect('wrong');
        } catch (PDOException $error) {
            expect(str_contains($error->getMessage(), 'password authentication failed'), true, $error->getMessage());
            return;
        }
        throw new Exception('a wrong password was taken');
    },
    'migrate' => function (PDO $pdo) {
        $pdo->beginTransaction();
        foreach (lines('migrate.sql') as $statement) {
            $pdo->exec($statement);
        }
        $pdo->commit();
        expect(rows($pdo, 'SELECT * FROM both ORDER BY 1'), [['one', 1], ['two', 2]], 'the view');
    },
    'types' => function (PDO $pdo) {
        foreach (lines('types.tsv') as $at => $line) {
            [$name, $literal] = explode("\t", $line, 2);
            $pdo->exec("CREATE TABLE typed$at (v $name, w $name)");
            $pdo->exec("INSERT INTO typed$at (v) VALUES (" . $pdo->quote($literal) . ')');
            [[$value]] = rows($pdo, "SELECT v FROM typed$at");
            $kind = match (true) {
                is_resource($value) => PDO::PARAM_LOB,
                is_bool($value) => PDO::PARAM_BOOL,
                is_int($value) => PDO::PARAM_INT,
                default => PDO::PARAM_STR,
            };
            $write = $pdo->prepare("UPDATE typed$at SET w = ?");
            $write->bindValue(1, $value, $kind);
            $write->execute();
            expect(rows($pdo, "SELECT v::text = w::text FROM typed$at"), [[true]], $name);
            $write->execute([null]);
            expect(rows($pdo, "SELECT w FROM typed$at"), [[null]], $name);
        }
    },
    'binary types' => fn () => throw new NotThere('it speaks text'),
    'errors' => function (PDO $pdo) {
        $errors = [
            ["INSERT INTO parent (name) VALUES ('one')", '23505'],
            ['INSERT INTO child (parent, amount) VALUES (99, 1)', '23503'],
            ['INSERT INTO child (parent, amount) VALUES (1, 0)', '23514'],
            ['INSERT INTO parent (name) VALUES (NULL)', '23502'],
            ["SELECT 'x'::integer", '22P02'],
            ['SELECT 1 / 0', '22012'],
            ['SELECT * FROM nowhere', '42P01'],
            ['SELECT nothing FROM parent', '42703'],
            ['SELEC 1', '42601'],
        ];
        foreach ($errors as [$query, $state]) {
            fails(fn () => $pdo->query($query), $state, $query);
        }
    },
    'transactions' => function (PDO $pdo) {
        $pdo->beginTransaction();
        $pdo->exec('INSERT INTO written VALUES (-1)');
        $pdo->rollBack();
        $pdo->beginTransaction();
        $pdo->exec('INSERT INTO written VALUES (-2)');
        $pdo->exec('SAVEPOINT s');
        fails(fn () => $pdo->exec('INSERT INTO written VALUES (-2)'), '23505', 'a row that is there');
        fails(fn () => $pdo->query('SELECT 1'), '25P02', 'a query afterwards');
        $pdo->exec('ROLLBACK TO s');
        $pdo->exec('INSERT INTO written VALUES (-3)');
        $pdo->commit();
        expect(rows($pdo, 'SELECT i FROM written WHERE i < 0 ORDER BY i'), [[-3], [-2]], 'rows');
    },
    'cursors' => function (PDO $pdo) {
        $pdo->beginTransaction();
        $cursor = $pdo->prepare('SELECT i FROM many ORDER BY i', [PDO::ATTR_CURSOR => PDO::CURSOR_SCROLL]);
        $cursor->execute();
        for ($wanted = 1; $wanted <= 1000; $wanted++) {
            expect($cursor->fetch(PDO::FETCH_NUM), [$wanted], 'a row');
        }
        expect($cursor->fetch(PDO::FETCH_NUM, PDO::FETCH_ORI_ABS, 5), [5], 'back again');
        $pdo->rollBack();
    },
    'copy' => function (PDO $pdo) {
        $pdo->pgsqlCopyFromArray('child', ["1\t10", "2\t\\N"], "\t", '\\\\N', 'parent, amount');
        $out = $pdo->pgsqlCopyToArray('child', ',', '\\\\N', 'parent, amount');
        expect($out, ["1,1\n", "2,2\n", "1,10\n", "2,\\N\n"], 'what came out');
    },
    'cancel' => fn () => throw new NotThere('it has no such call'),
    'introspection' => function (PDO $pdo) {
        $result = $pdo->query('SELECT * FROM parent');
        $types = array_map(fn ($at) => $result->getColumnMeta($at)['native_type'], [0, 1, 2, 4]);
        expect($types, ['int4', 'varchar', 'int8', 'timestamptz'], 'types');
        expect($result->getColumnMeta(0)['table'], 'parent', 'the table');
    },
    'new leader' => function (PDO $pdo) {
        $change = proc_open(getenv('TOWLINE_TEST_NEW_LEADER'), [], $pipes);
        $insert = $pdo->prepare('INSERT INTO written VALUES (?)');
        $status = proc_get_status($change);
        for ($number = 0, $after = 0; $after < 20; $number++) {
            $insert->execute([$number]);
            if ($status['running']) {
                $status = proc_get_status($change);
            } else {
                $after++;
            }
        }
        expect($status['exitcode'], 0, 'the change of leader');
        expect(rows($pdo, 'SELECT count(*) FROM written WHERE i >= 0'), [[$number]], 'rows');
    },
];

foreach (lines('checks') as $name) {
    try {
        $checks[$name](connect());
        echo "ok $name\n";
    } catch (NotThere $reason) {
        echo "none $name: {$reason->getMessage()}\n";
    } catch (Throwable $error) {
        fwrite(STDERR, "$error\n");
        echo "fails $name: " . preg_replace('/\s+/', ' ', $error->getMessage()) . "\n";
    }
}
