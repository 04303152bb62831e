//! Each rule on the two texts that it is about.

use prost_types::FileDescriptorSet;
use protox::{
    Compiler,
    file::{ChainFileResolver, File, FileResolver, GoogleFileResolver},
};

use super::{Break, Whom, compare};
use Whom::{Rebuilt, Running, Text};

/// Files by their names.
struct Texts(Vec<(String, String)>);

impl FileResolver for Texts {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match self.0.iter().find(|(known, _)| known == name) {
            Some((_, text)) => File::from_source(name, text),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}

/// `body` is a whole file if it has a syntax, else what is in one of the package `a.v1`.
fn set(name: &str, body: &str) -> FileDescriptorSet {
    let text = if body.contains("syntax") {
        body.to_owned()
    } else {
        format!(
            "syntax = \"proto3\"; package a.v1; import \"google/protobuf/wrappers.proto\"; {body}"
        )
    };
    let mut resolver = ChainFileResolver::new();
    resolver.add(Texts(vec![(name.to_owned(), text)]));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.include_imports(true);
    let opened = compiler.open_file(name);
    assert!(opened.is_ok(), "{body}: {opened:?}");
    compiler.file_descriptor_set()
}

/// Each break as `whom: place: change`, and the parts that have to be somewhere in what is said of it.
#[track_caller]
fn check_sets(
    old: &FileDescriptorSet,
    new: &FileDescriptorSet,
    expected: &[(Whom, &str, &[&str])],
) {
    let found = compare(old, new);
    let said = |found: &Break| format!("{}: {}", found.place, found.change);
    let (are, should): (Vec<_>, Vec<_>) = (
        found.iter().map(|it| (it.whom, said(it))).collect(),
        expected
            .iter()
            .map(|(whom, said, _)| (*whom, (*said).to_owned()))
            .collect(),
    );
    assert_eq!(are, should, "{found:#?}");
    for (found, (_, _, parts)) in found.iter().zip(expected) {
        let all = format!(
            "{} {}",
            found.effect,
            found.instead.clone().unwrap_or_default()
        );
        for part in *parts {
            assert!(all.contains(part), "`{part}` is not in `{all}`");
        }
    }
}

#[track_caller]
fn check(old: &str, new: &str, expected: &[(Whom, &str, &[&str])]) {
    check_sets(
        &set("a/v1/a.proto", old),
        &set("a/v1/a.proto", new),
        expected,
    );
}

/// The fields of a message that a service uses.
#[track_caller]
fn fields(old: &str, new: &str, expected: &[(Whom, &str, &[&str])]) {
    let file = |fields| {
        format!(
            "service S {{ rpc M(T) returns (T); }} message T {{ {fields} }} message Same {{ string x = 1; }} \
             message Alike {{ string x = 1; }} message Renamed {{ string y = 1; }} message Other {{ uint32 x = 1; }} \
             enum E {{ ZERO = 0; ONE = 1; }} enum F {{ NULL = 0; EINS = 1; }} enum G {{ NADA = 0; }}"
        )
    };
    check(&file(old), &file(new), expected);
}

#[test]
fn what_is_added_or_said_breaks_nobody() {
    check(
        "service S { rpc M(T) returns (T); } message T { string a = 1; } enum E { ZERO = 0; }",
        "// Words.
         service S { rpc M(T) returns (T) { option deprecated = true; option idempotency_level = IDEMPOTENT; }
                     rpc N(stream U) returns (T); }
         service Z { rpc M(T) returns (U); }
         message U { map<string, T> b = 1; }
         // More words.
         message T { reserved 5; reserved \"c\"; oneof k { U u = 3; } string a = 1 [deprecated = true]; repeated E e = 2; }
         enum E { ZERO = 0; ONE = 1; reserved 4; }",
        &[],
    );
}

#[test]
fn the_order_in_a_file_breaks_nobody() {
    check(
        "message T { string a = 1; string b = 2; } message U { enum E { ZERO = 0; ONE = 1; } E e = 1; }",
        "message U { E e = 1; enum E { ZERO = 0; ONE = 1; } } message T { string b = 2; string a = 1; }",
        &[],
    );
}

#[test]
fn packages() {
    let file = |package: &str, of: &str| {
        set(
            "a.proto",
            &format!(
                "syntax = \"proto3\"; package {package}; service S {{ rpc M(T) returns (T); }} message T {{ {of} }}"
            ),
        )
    };
    check_sets(
        &file("a.v1", "string a = 1; T t = 2;"),
        &file("a.v2", "uint32 a = 1; T t = 2;"),
        &[
            (
                Running,
                "package a.v1: it is called a.v2 now",
                &["/a.v1.S/..", "UNIMPLEMENTED", "package = \"a.v1\""],
            ),
            (
                Running,
                "a.v1.T.a (field 1): it is uint32 now, and was string",
                &[],
            ),
        ],
    );
}

#[test]
fn files() {
    let body = "syntax = \"proto3\"; package a.v1; service S { rpc M(T) returns (T); } message T { enum E { Z = 0; } }";
    check_sets(
        &set("a/v1/a.proto", body),
        &set("a/v1/b.proto", body),
        &[(
            Rebuilt,
            "a/v1/a.proto: what it declares is in a/v1/b.proto now",
            &["import"],
        )],
    );
}

#[test]
fn services() {
    let messages = "message T {} message U {}";
    let service = |name: &str, method: &str| {
        format!("service {name} {{ rpc {method}(T) returns (U); }} {messages}")
    };
    check(
        &service("S", "M"),
        &service("Z", "M"),
        &[(
            Running,
            "service a.v1.S: it is called a.v1.Z now",
            &["UNIMPLEMENTED", "#[iroh_service(name = \"S\")]"],
        )],
    );
    check(
        &service("S", "M"),
        messages,
        &[(
            Running,
            "service a.v1.S: it was removed",
            &["UNIMPLEMENTED"],
        )],
    );
}

#[test]
fn methods() {
    let service =
        |methods: &str| format!("service S {{ {methods} }} message T {{}} message U {{}}");
    check(
        &service("rpc M(T) returns (U); rpc N(T) returns (T);"),
        &service("rpc N(T) returns (T);"),
        &[(
            Running,
            "a.v1.S.M: it was removed",
            &["UNIMPLEMENTED", "#[deprecated]"],
        )],
    );
    check(
        &service("rpc M(T) returns (U); rpc N(T) returns (T);"),
        &service("rpc N(T) returns (T); rpc O(T) returns (U);"),
        &[(
            Running,
            "a.v1.S.M: it is called O now",
            &["UNIMPLEMENTED", "#[rpc(name = \"M\")]"],
        )],
    );
    check(
        &service("rpc M(T) returns (U) { option idempotency_level = IDEMPOTENT; }"),
        &service("rpc M(T) returns (U);"),
        &[(
            Running,
            "a.v1.S.M: it was IDEMPOTENT and is IDEMPOTENCY_UNKNOWN now",
            &["again"],
        )],
    );
}

#[test]
fn shapes() {
    let service = |input: &str, output: &str| {
        format!("service S {{ rpc M({input} T) returns ({output} T); }} message T {{}}")
    };
    check(
        &service("", "stream"),
        &service("stream", ""),
        &[
            (
                Running,
                "a.v1.S.M: it takes a stream now, and took one message before",
                &["another name"],
            ),
            (
                Running,
                "a.v1.S.M: it answers one message now, and answered a stream before",
                &["fail"],
            ),
        ],
    );
}

#[test]
fn requests_and_responses() {
    let file = |input: &str, output: &str| {
        format!(
            "service S {{ rpc M({input}) returns ({output}); }} message T {{ string name = 1; }} message U {{ string name = 1; bool more = 2; }}
             message V {{ uint32 name = 1; }}"
        )
    };
    check(
        &file("T", "T"),
        &file("U", "V"),
        &[
            (
                Running,
                "a.v1.S.M: it answers a.v1.V now, and answered a.v1.T before",
                &["differ on the wire", "a.v1.T.name (field 1)"],
            ),
            (
                Rebuilt,
                "a.v1.S.M: it takes a.v1.U now, and took a.v1.T before",
                &["the bytes are the same"],
            ),
        ],
    );
    // An argument more, where protobuf's wrapper was.
    check(
        &file("google.protobuf.StringValue", "T"),
        &file("U", "T"),
        &[(
            Text,
            "a.v1.S.M: it takes a.v1.U now, and took google.protobuf.StringValue before",
            &["it is called `name` now"],
        )],
    );
}

#[test]
fn messages() {
    check(
        "message T {} message Gone { enum Kind { ZERO = 0; } }",
        "message T {}",
        &[
            (Rebuilt, "message a.v1.Gone: it was removed", &["compile"]),
            (Rebuilt, "enum a.v1.Gone.Kind: it was removed", &["compile"]),
        ],
    );
    // Said once, where it was used.
    check(
        "service S { rpc M(T) returns (T); } message T { Gone gone = 1; } message Gone {}",
        "service S { rpc M(T) returns (T); } message T {}",
        &[(
            Running,
            "a.v1.T.gone (field 1): it was removed, and its number is not reserved",
            &["`#[reserved(1, \"gone\")]`"],
        )],
    );
}

#[test]
fn fields_that_are_gone() {
    let removed = (
        Running,
        "a.v1.T.b (field 3): it was removed, and its number is not reserved",
        &["others still send 3", "`#[reserved(3, \"b\")]`"][..],
    );
    let old = "string a = 1; uint32 b = 3;";
    fields(old, "string a = 1;", &[removed]);
    fields(old, "string a = 1; reserved \"b\";", &[removed]);
    fields(
        old,
        "string a = 1; reserved 2 to 5;",
        &[(
            Text,
            "a.v1.T.b (field 3): it was removed, and its name is not reserved",
            &["JSON"],
        )],
    );
    fields(old, "string a = 1; reserved 3; reserved \"b\";", &[]);
}

#[test]
fn what_was_reserved() {
    let old = "reserved 3, 5 to 8; reserved \"b\"; string a = 1;";
    fields(
        old,
        "reserved 3 to 6, 7 to max; reserved \"b\"; string a = 1;",
        &[],
    );
    fields(
        old,
        "reserved 3, 5 to 6, 8; reserved \"b\"; string a = 1;",
        &[(
            Running,
            "message a.v1.T: the number 7 is not reserved any more",
            &["`#[reserved(7)]`"],
        )],
    );
    fields(
        old,
        "reserved 5 to 8; string a = 1; string b = 3;",
        &[
            (
                Running,
                "message a.v1.T: `b` has the number 3, which was reserved",
                &["others may still send"],
            ),
            (
                Text,
                "message a.v1.T: a field has the name `b`, which was reserved",
                &["JSON"],
            ),
        ],
    );
}

#[test]
fn numbers() {
    fields(
        "string a = 1;",
        "string a = 2;",
        &[(
            Running,
            "a.v1.T.a (field 1): it has the number 2 now",
            &["seems never to be set", "`#[tag(1)]`"],
        )],
    );
    // A field in between, without a number of its own.
    fields(
        "string a = 1; string c = 2;",
        "string a = 1; uint32 b = 2; string c = 3;",
        &[(
            Running,
            "a.v1.T.c (field 2): it has the number 3 now",
            &["what others send as `c` is read as `b` here"],
        )],
    );
    fields(
        "string a = 1; uint32 b = 2;",
        "uint32 b = 1; string a = 2;",
        &[
            (
                Running,
                "a.v1.T.a (field 1): it has the number 2 now",
                &["read as `b`"],
            ),
            (
                Running,
                "a.v1.T.b (field 2): it has the number 1 now",
                &["read as `a`"],
            ),
        ],
    );
    fields(
        "string a = 1;",
        "uint32 b = 1;",
        &[(
            Running,
            "a.v1.T.a (field 1): it was removed, and `b` has its number now",
            &[
                "read as `b`",
                "another number for `b`",
                "`#[reserved(1, \"a\")]`",
            ],
        )],
    );
}

#[test]
fn names() {
    fields(
        "string a = 1; repeated Same b = 2;",
        "string x = 1; repeated Same y = 2;",
        &[
            (
                Text,
                "a.v1.T.a (field 1): it is called `x` now",
                &["the bytes are the same"],
            ),
            (Text, "a.v1.T.b (field 2): it is called `y` now", &[]),
        ],
    );
    fields(
        "string a_b = 1; string c = 2 [json_name = \"see\"];",
        "string a_b = 1 [json_name = \"ab\"]; string c = 2 [json_name = \"see\"];",
        &[(
            Text,
            "a.v1.T.a_b (field 1): its name in JSON is `ab` now, and was `aB`",
            &["JSON"],
        )],
    );
}

#[test]
fn types() {
    for (old, new, whom, effect) in [
        ("int32", "int64", Running, "does not fit in 32 bits"),
        ("uint64", "uint32", Running, "does not fit in 32 bits"),
        ("int32", "uint32", Running, "negative"),
        ("int64", "uint64", Running, "negative"),
        ("bool", "uint32", Running, "read as true"),
        ("int64", "bool", Running, "read as true"),
        ("sint32", "sint64", Running, "only one of the types has"),
        ("fixed32", "sfixed32", Running, "only one of the types has"),
        ("fixed64", "sfixed64", Running, "only one of the types has"),
        (
            "int32",
            "sint32",
            Running,
            "of another kind (varint and zigzag varint)",
        ),
        ("uint32", "string", Running, "of another kind"),
        ("float", "double", Running, "of another kind"),
        ("float", "fixed32", Running, "of another kind"),
        ("uint32", "fixed32", Running, "of another kind"),
        ("bytes", "string", Running, "UTF-8"),
        ("string", "bytes", Running, "UTF-8"),
        ("int32", "a.v1.E", Text, "the name of a value"),
        ("a.v1.E", "int32", Text, "the name of a value"),
        ("a.v1.E", "uint32", Running, "32 bits with a sign"),
        ("string", "a.v1.Same", Running, "of another kind"),
        ("a.v1.Same", "bytes", Running, "of another kind"),
        ("a.v1.Same", "a.v1.Alike", Rebuilt, "the bytes are the same"),
        ("a.v1.Same", "a.v1.Renamed", Text, "it is called `y` now"),
        (
            "a.v1.Same",
            "a.v1.Other",
            Running,
            "they differ on the wire: a.v1.Same.x (field 1)",
        ),
        ("a.v1.E", "a.v1.F", Text, "`NULL` has its number now"),
        (
            "a.v1.E",
            "a.v1.G",
            Running,
            "a.v1.E.ONE (1): it was removed",
        ),
    ] {
        fields(
            &format!("{old} a = 1;"),
            &format!("{new} a = 1;"),
            &[(
                whom,
                &format!("a.v1.T.a (field 1): it is {new} now, and was {old}"),
                &[effect],
            )],
        );
    }
}

#[test]
fn types_that_hold_themselves() {
    check(
        "service S { rpc M(T) returns (T); } message T { T t = 1; string a = 2; }",
        "service S { rpc M(U) returns (U); } message U { U t = 1; string a = 2; }",
        &[
            (
                Rebuilt,
                "a.v1.S.M: it takes a.v1.U now, and took a.v1.T before",
                &["the bytes are the same"],
            ),
            (
                Rebuilt,
                "a.v1.S.M: it answers a.v1.U now, and answered a.v1.T before",
                &[],
            ),
        ],
    );
}

#[test]
fn how_many() {
    fields(
        "string a = 1; repeated uint32 b = 2; Same c = 3;",
        "repeated string a = 1; uint32 b = 2; repeated Same c = 3;",
        &[
            (
                Running,
                "a.v1.T.a (field 1): it is repeated string now, and was string",
                &["the last of the list"],
            ),
            (
                Running,
                "a.v1.T.b (field 2): it is uint32 now, and was repeated uint32",
                &["in one piece"],
            ),
            (
                Running,
                "a.v1.T.c (field 3): it is repeated a.v1.Same now, and was a.v1.Same",
                &["the last of the list"],
            ),
        ],
    );
    fields(
        "string a = 1; optional string b = 2; Same c = 3;",
        "optional string a = 1; string b = 2; optional Same c = 3;",
        &[
            (
                Rebuilt,
                "a.v1.T.a (field 1): it is optional now",
                &["cannot tell"],
            ),
            (
                Rebuilt,
                "a.v1.T.b (field 2): it is not optional any more",
                &["zero or nothing"],
            ),
        ],
    );
}

#[test]
fn maps() {
    fields(
        "map<string, uint32> a = 1; map<string, Same> b = 2;",
        "map<uint32, string> a = 1; map<string, Alike> b = 2;",
        &[
            (
                Running,
                "a.v1.T.a (field 1), the key of the map: it is uint32 now, and was string",
                &[],
            ),
            (
                Running,
                "a.v1.T.a (field 1), the value of the map: it is string now, and was uint32",
                &[],
            ),
            (
                Rebuilt,
                "a.v1.T.b (field 2), the value of the map: it is a.v1.Alike now, and was a.v1.Same",
                &[],
            ),
        ],
    );
    fields(
        "map<string, uint32> a = 1; repeated Same b = 2;",
        "string a = 1; map<string, Same> b = 2;",
        &[
            (
                Running,
                "a.v1.T.a (field 1): it is string now, and was a map",
                &["entries"],
            ),
            (
                Running,
                "a.v1.T.b (field 2): it is a map now, and was repeated a.v1.Same",
                &["entries"],
            ),
        ],
    );
}

#[test]
fn oneofs() {
    // Alone in one, or with those who are new.
    fields(
        "string a = 1; string b = 2;",
        "oneof k { string a = 1; string c = 3; } string b = 2;",
        &[(
            Rebuilt,
            "a.v1.T.a (field 1): it is in the oneof `k` now",
            &["the bytes are the same"],
        )],
    );
    fields(
        "string a = 1; string b = 2;",
        "oneof k { string a = 1; string b = 2; }",
        &[
            (
                Running,
                "a.v1.T.a (field 1): it is in the oneof `k` now",
                &["only the last"],
            ),
            (
                Running,
                "a.v1.T.b (field 2): it is in the oneof `k` now",
                &["only the last"],
            ),
        ],
    );
    fields(
        "oneof k { string a = 1; string b = 2; }",
        "oneof k { string a = 1; } string b = 2;",
        &[(
            Running,
            "a.v1.T.b (field 2): it is not in the oneof `k` any more",
            &["only one of the two"],
        )],
    );
    fields(
        "oneof k { string a = 1; string b = 2; }",
        "oneof l { string a = 1; string b = 2; string c = 3; }",
        &[(
            Rebuilt,
            "a.v1.T.k (oneof): it is called `l` now",
            &["the old name"],
        )],
    );
    fields(
        "oneof k { string a = 1; string b = 2; } oneof l { string c = 3; }",
        "oneof k { string a = 1; } oneof l { string c = 3; string b = 2; }",
        &[(
            Running,
            "a.v1.T.b (field 2): it is in the oneof `l` now, and was in `k`",
            &["excluded each other"],
        )],
    );
}

#[test]
fn values_of_enums() {
    let old = "enum E { ZERO = 0; ONE = 1; TWO = 2; }";
    check(
        old,
        "enum E { ZERO = 0; TWO = 2; }",
        &[(
            Running,
            "a.v1.E.ONE (1): it was removed, and its number is not reserved",
            &["`#[reserved(1, \"ONE\")]`"],
        )],
    );
    check(
        old,
        "enum E { reserved 1; ZERO = 0; TWO = 2; }",
        &[(
            Text,
            "a.v1.E.ONE (1): it was removed, and its name is not reserved",
            &["JSON"],
        )],
    );
    check(
        old,
        "enum E { reserved -3 to -1, 1; reserved \"ONE\"; ZERO = 0; TWO = 2; }",
        &[],
    )
}

#[test]
fn numbers_of_enums() {
    let old = "enum E { ZERO = 0; ONE = 1; TWO = 2; }";
    check(
        old,
        "enum E { ZERO = 0; ONE = 2; TWO = 1; }",
        &[
            (
                Running,
                "a.v1.E.ONE (1): it has the number 2 now",
                &["read as `TWO`"],
            ),
            (
                Running,
                "a.v1.E.TWO (2): it has the number 1 now",
                &["read as `ONE`"],
            ),
        ],
    );
    check(
        old,
        "enum E { ZERO = 0; ONE = 5; TWO = 2; }",
        &[(
            Running,
            "a.v1.E.ONE (1): it has the number 5 now",
            &["not known here"],
        )],
    );
    check(
        old,
        "enum E { ZERO = 0; EINS = 1; TWO = 2; }",
        &[(
            Text,
            "a.v1.E.ONE (1): `EINS` has its number now",
            &[
                "the same on the wire",
                "a trap",
                "another number for `EINS`",
            ],
        )],
    );
    check(
        "enum E { reserved 4 to 6; reserved \"OLD\"; ZERO = 0; }",
        "enum E { reserved 4, 5; ZERO = 0; SIX = 6; }",
        &[
            (
                Running,
                "enum a.v1.E: `SIX` has the number 6, which was reserved",
                &["`#[reserved(6)]`"],
            ),
            (
                Text,
                "enum a.v1.E: the name `OLD` is not reserved any more",
                &["JSON"],
            ),
        ],
    );
}

#[test]
fn it_is_said_which_calls_carry_what_was_changed() {
    let file = |inner: &str| {
        set(
            "a.proto",
            &format!(
                "syntax = \"proto3\"; package a.v1; service S {{ rpc M(T) returns (U); rpc N(U) returns (stream T); rpc O(U) returns (U); }}
                 message T {{ map<string, V> v = 1; }} message U {{ E e = 1; }} message V {{ {inner} }} enum E {{ ZERO = 0; }} message W {{ {inner} }}"
            ),
        )
    };
    let found = compare(&file("string a = 1;"), &file("bool a = 1;"));
    let methods: Vec<_> = found
        .iter()
        .map(|found| (found.place.as_str(), found.methods.join(" ")))
        .collect();
    assert_eq!(
        methods,
        [
            ("a.v1.V.a (field 1)", "a.v1.S.M a.v1.S.N".to_owned()),
            ("a.v1.W.a (field 1)", String::new()),
        ]
    );
    assert!(
        found[0]
            .to_string()
            .contains("\n    In calls of a.v1.S.M, a.v1.S.N\n"),
        "{}",
        found[0]
    );
}

#[test]
fn the_worst_comes_first() {
    let found = compare(
        &set(
            "a.proto",
            "message T { string a = 1; string b = 2; optional bool c = 3; }",
        ),
        &set(
            "a.proto",
            "message T { string x = 1; uint32 b = 2; bool c = 3; }",
        ),
    );
    let whom: Vec<_> = found.iter().map(|found| found.whom).collect();
    assert_eq!(whom, [Running, Text, Rebuilt]);
    assert!(
        found[0].to_string().contains("a.v1.T.b (field 2): it is uint32 now, and was string\n    the bytes are of another kind")
            && found[0].to_string().contains("\n    Instead: "),
        "{}",
        found[0]
    );
}
