//! Declared variables, and what is redacted in variables, inputs and steps' inputs.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up has failed")]

mod common;

use common::{plan, value};
use stepflow_flow::{Mask, Secrets, Source, read_value};
use stepflow_protocol::{ErrorKind, FlowError};

fn redacted(schema: &str, shown: &str) -> String {
    Secrets::of_schema(&value(schema)).redact(&value(shown)).as_str().to_owned()
}

#[test]
fn what_a_schema_marks_is_redacted() {
    let cases = [
        (r#"{}"#, r#"{"a":1}"#, r#"{"a":1}"#),
        (r#"{"is_secret":true}"#, r#"{"a":1}"#, r#""[REDACTED]""#),
        (r#"{"is_secret":true}"#, "null", r#""[REDACTED]""#),
        (r#"{"is_secret":false}"#, "1", "1"),
        (r#"{"properties":{"k":{"isSecret":true}}}"#, r#"{"a":1,"k":2}"#, r#"{"a":1,"k":"[REDACTED]"}"#),
        (r#"{"isSecret":false,"is_secret":true}"#, "1", r#""[REDACTED]""#),
        (r#"{"properties":{"k":{"is_secret":true}}}"#, r#"{"a":1,"k":{"b":2}}"#, r#"{"a":1,"k":"[REDACTED]"}"#),
        (r#"{"properties":{"k":{"is_secret":true}}}"#, r#"["k"]"#, r#"["k"]"#),
        (r#"{"items":{"is_secret":true}}"#, "[1,[2]]", r#"["[REDACTED]","[REDACTED]"]"#),
        (
            r#"{"items":{"properties":{"k":{"is_secret":true}}}}"#,
            r#"[{"k":1,"o":2},{"k":3}]"#,
            r#"[{"k":"[REDACTED]","o":2},{"k":"[REDACTED]"}]"#,
        ),
        (r#"{"prefixItems":[{},{"is_secret":true}],"items":{}}"#, "[1,2,3]", r#"[1,"[REDACTED]",3]"#),
        (
            r#"{"additionalProperties":{"is_secret":true},"properties":{"a":{}}}"#,
            r#"{"a":1,"b":2}"#,
            r#"{"a":1,"b":"[REDACTED]"}"#,
        ),
        (r#"{"anyOf":[{"type":"string"},{"is_secret":true}]}"#, "1", r#""[REDACTED]""#),
        (r##"{"$defs":{"a/b":{"is_secret":true}},"items":{"$ref":"#/$defs/a~1b"}}"##, "[1]", r#"["[REDACTED]"]"#),
        (r##"{"$defs":{"a b":{"is_secret":true}},"items":{"$ref":"#/$defs/a%20b"}}"##, "[1]", r#"["[REDACTED]"]"#),
        (
            r##"{"properties":{"key":{"is_secret":true},"next":{"$ref":"#"}}}"##,
            r#"{"key":1,"next":{"key":2,"next":{"key":3,"x":4}}}"#,
            r#"{"key":"[REDACTED]","next":{"key":"[REDACTED]","next":{"key":"[REDACTED]","x":4}}}"#,
        ),
        (r##"{"$ref":"#"}"##, "1", "1"),
        (r#"{"properties":{"is_secret":{"type":"boolean"}}}"#, r#"{"is_secret":true}"#, r#"{"is_secret":true}"#),
    ];
    for (schema, shown, expected) in cases {
        assert_eq!(redacted(schema, shown), expected, "{schema} on {shown}");
    }
}

/// Schemas in which `key` is secret and `open` is not, one for each way to write that.
const WAYS_TO_A_MARK: [&str; 24] = [
    r##"{"$defs":{"k":{"$anchor":"k","is_secret":true}},"properties":{"key":{"$ref":"#k"}}}"##,
    r##"{"$defs":{"k":{"$dynamicAnchor":"k","is_secret":true}},"properties":{"key":{"$dynamicRef":"#k"}}}"##,
    r##"{"$defs":{"k":{"$dynamicAnchor":"k","is_secret":true}},"properties":{"key":{"$ref":"#k"}}}"##,
    r##"{"$defs":{"k":{"$id":"secret","is_secret":true}},"properties":{"key":{"$ref":"secret"}}}"##,
    r##"{"$id":"http://x/root","$defs":{"k":{"$id":"other","is_secret":true}},"properties":{"key":{"$ref":"other"}}}"##,
    r##"{"$id":"http://x/root","$defs":{"k":{"is_secret":true}},"properties":{"key":{"$ref":"root#/$defs/k"}}}"##,
    r##"{"$id":"http://x/root","$defs":{"k":{"is_secret":true}},"properties":{"key":{"$ref":"http://x/root#/$defs/k"}}}"##,
    r##"{"$id":"http://x/a/","$defs":{"b":{"$id":"b/","$defs":{"k":{"is_secret":true}},"items":{"$ref":"#/$defs/k"}}},"properties":{"key":{"$ref":"b/#/$defs/k"}}}"##,
    r##"{"$id":"http://x/a/","$defs":{"b":{"$id":"b/","$defs":{"k":{"$anchor":"k","is_secret":true}},"$ref":"#k"}},"properties":{"key":{"$ref":"b/"}}}"##,
    r##"{"$id":"root","$defs":{"k":{"$id":"k","$anchor":"x","is_secret":true}},"properties":{"key":{"$ref":"k#x"}}}"##,
    r##"{"$schema":"http://json-schema.org/draft-07/schema#","definitions":{"k":{"$id":"#k","is_secret":true}},"properties":{"key":{"$ref":"#k"}}}"##,
    r##"{"$schema":"http://json-schema.org/draft-07/schema#","definitions":{"k":{"is_secret":true}},"properties":{"key":{"$ref":"#/definitions/k"}}}"##,
    r##"{"$schema":"http://json-schema.org/draft-07/schema#","dependencies":{"key":{"properties":{"key":{"is_secret":true}}}}}"##,
    r##"{"$schema":"https://json-schema.org/draft/2019-09/schema","properties":{"key":{"$ref":"#/$defs/k"}},"$defs":{"k":{"$recursiveRef":"#/$defs/s"},"s":{"is_secret":true}}}"##,
    r##"{"properties":{"a/b%":{"is_secret":true},"key":{"$ref":"#/properties/a~1b%25"}}}"##,
    r##"{"$defs":{"k":{"is_secret":true}},"properties":{"key":{"type":"string","$ref":"#/$defs/k","minLength":1}}}"##,
    r##"{"properties":{"key":{"$ref":"#/$defs/nowhere"}}}"##,
    r##"{"patternProperties":{"^k":{"is_secret":true}}}"##,
    r##"{"properties":{"key":{"type":"string"}},"patternProperties":{"^k":{"is_secret":true}}}"##,
    r##"{"properties":{"open":{}},"unevaluatedProperties":{"is_secret":true}}"##,
    r##"{"if":{"properties":{"key":{"is_secret":true}}}}"##,
    r##"{"if":true,"then":{"properties":{"key":{"is_secret":true}}},"else":{}}"##,
    r##"{"dependentSchemas":{"open":{"properties":{"key":{"is_secret":true}}}}}"##,
    r##"{"properties":{"key":{"is_secret":"true"}}}"##,
];

#[test]
fn a_mark_counts_wherever_a_reference_or_a_keyword_leads_to_it() {
    for schema in WAYS_TO_A_MARK {
        let shown = redacted(schema, r#"{"key":"hunter2","open":1}"#);
        assert_eq!(shown, r#"{"key":"[REDACTED]","open":1}"#, "{schema}");
    }
}

#[test]
fn what_cannot_be_told_from_a_secret_is_redacted_with_it() {
    let cases = [
        // Which anchor it is depends on the way to the reference: both count.
        (
            r##"{"$id":"http://x/root","$ref":"list","$defs":{"node":{"$dynamicAnchor":"n","is_secret":true},"list":{"$id":"list","items":{"$dynamicRef":"#n"},"$defs":{"n":{"$dynamicAnchor":"n"}}}}}"##,
            r#"["hunter2"]"#,
            r#"["[REDACTED]"]"#,
        ),
        (
            r##"{"$schema":"https://json-schema.org/draft/2019-09/schema","$recursiveAnchor":true,"properties":{"key":{"is_secret":true},"next":{"$recursiveRef":"#"}}}"##,
            r#"{"next":{"key":"hunter2"}}"#,
            r#"{"next":{"key":"[REDACTED]"}}"#,
        ),
        (r#"{"contains":{"is_secret":true}}"#, r#"[1,2]"#, r#"["[REDACTED]","[REDACTED]"]"#),
        (r#"{"propertyNames":{"is_secret":true}}"#, r#"{"hunter2":1}"#, r#""[REDACTED]""#),
        (r#"{"contentSchema":{"properties":{"key":{"is_secret":true}}}}"#, r#""{key: hunter2}""#, r#""[REDACTED]""#),
        // Nothing can be validated with these schemas; the flow's check says so.
        (r##"{"properties":{"key":{"$ref":"http://elsewhere/schema"}}}"##, r#"{"key":1}"#, r#""[REDACTED]""#),
        (r##"{"$schema":"urn:mine","properties":{"key":{}}}"##, r#"{"key":1}"#, r#""[REDACTED]""#),
    ];
    for (schema, value, expected) in cases {
        assert_eq!(redacted(schema, value), expected, "{schema}");
    }
}

const SCHEMAS: &str = "
schemas:
  $defs: {Key: {type: string, is_secret: true}}
  properties:
    input:
      type: object
      properties:
        user: {type: object, properties: {name: {type: string}, password: {type: string, is_secret: true}}}
        keys: {type: array, items: {$ref: '#/schemas/$defs/Key'}}
    variables:
      type: object
      required: [token]
      properties:
        token: {type: string, is_secret: true, env_var: API_TOKEN}
        lang: {type: string, default: en}
        count: {type: integer}
        account: {type: object, properties: {pin: {is_secret: true}}}
";

fn step_input(expression: &str, shown: &str) -> String {
    let plan = plan(&format!(
        "{SCHEMAS}steps:\n- {{id: s, component: /x}}\n- {{id: t, component: /x, input: {expression}}}\noutput: [{{$step: t}}, {{$step: s}}]"
    ));
    plan.steps[1].secrets.redact(&value(shown)).as_str().to_owned()
}

#[test]
fn a_step_input_is_secret_where_it_is_built_from_secrets() {
    let cases = [
        (
            "{$input: $}",
            r#"{"user":{"name":"n","password":"p"},"keys":["k"]}"#,
            r#"{"user":{"name":"n","password":"[REDACTED]"},"keys":["[REDACTED]"]}"#,
        ),
        ("{$input: $.user}", r#"{"name":"n","password":"p"}"#, r#"{"name":"n","password":"[REDACTED]"}"#),
        ("{$input: $.user.password}", r#""p""#, r#""[REDACTED]""#),
        ("{$input: $.user.password.inside}", "1", r#""[REDACTED]""#),
        ("{$input: '$.keys[3]'}", "1", r#""[REDACTED]""#),
        ("{$input: $.user.name}", r#""n""#, r#""n""#),
        (
            "{a: 1, t: {$variable: token}, l: [{$variable: lang}, {$variable: $.account.pin}]}",
            r#"{"a":1,"t":"x","l":["en",7]}"#,
            r#"{"a":1,"t":"[REDACTED]","l":["en","[REDACTED]"]}"#,
        ),
        ("{$variable: account}", r#"{"pin":1,"id":2}"#, r#"{"pin":"[REDACTED]","id":2}"#),
        ("{$variable: lang, default: {$variable: token}}", "1", r#""[REDACTED]""#),
        ("{$if: {$variable: token}, then: 1, else: 2}", "1", "1"),
        (
            "{$if: true, then: {$variable: lang}, else: {k: {$variable: token}}}",
            r#"{"k":1,"o":2}"#,
            r#"{"k":"[REDACTED]","o":2}"#,
        ),
        (
            "{$coalesce: [{$input: $.user}, {x: {$variable: token}}]}",
            r#"{"password":1,"x":2,"y":3}"#,
            r#"{"password":"[REDACTED]","x":"[REDACTED]","y":3}"#,
        ),
        ("{$step: s}", r#"{"password":1}"#, r#"{"password":1}"#),
        ("{$literal: {$variable: token}}", r#"{"$variable":"token"}"#, r#"{"$variable":"token"}"#),
    ];
    for (expression, shown, expected) in cases {
        assert_eq!(step_input(expression, shown), expected, "{expression}");
    }
}

#[test]
fn a_run_redacts_its_input_and_its_variables() {
    let plan = plan(SCHEMAS);
    let input = plan.input_secrets().redact(&value(r#"{"user":{"password":"p"},"other":1}"#));
    assert_eq!(input.as_str(), r#"{"user":{"password":"[REDACTED]"},"other":1}"#);
    let variables = plan.variable_secrets().redact(&value(r#"{"token":"t","lang":"de","undeclared":1}"#));
    assert_eq!(variables.as_str(), r#"{"token":"[REDACTED]","lang":"de","undeclared":1}"#);
}

#[test]
fn variables_say_where_they_come_from() {
    let plan = plan(SCHEMAS);
    let variables = plan.variables();
    let told: Vec<_> = variables
        .iter()
        .map(|(name, one)| {
            let default = one.default.as_ref().map(|value| value.as_str().to_owned());
            (name, one.environment_name(name), default, one.required, one.is_secret)
        })
        .collect();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        told,
        [
            ("token", "API_TOKEN".to_owned(), None, true, true),
            ("lang", "STEPFLOW_VAR_LANG".to_owned(), text("\"en\""), false, false),
            ("count", "STEPFLOW_VAR_COUNT".to_owned(), text("0"), false, false),
            ("account", "STEPFLOW_VAR_ACCOUNT".to_owned(), None, false, true),
        ]
    );
    assert_eq!(variables.get("token").unwrap().env_var.as_deref(), Some("API_TOKEN"));
}

/// A mask of the secrets in `{"keys": …}`.
fn mask(keys: &str) -> Mask {
    let secrets = Secrets::of_schema(&value(r#"{"properties":{"keys":{"is_secret":true}}}"#));
    let mut mask = Mask::default();
    mask.add(&secrets, &value(&format!(r#"{{"keys":{keys},"open":"hunter2"}}"#)));
    mask
}

#[test]
fn texts_do_not_quote_secrets() {
    let cases = [
        (r#""sesame""#, "open sesame!", "open [REDACTED]!"),
        (r#""sesame""#, "no sesames, sesamesesame", "no [REDACTED]s, [REDACTED][REDACTED]"),
        (r#""sesame""#, "hunter2 is no secret here", "hunter2 is no secret here"),
        (r#"{"a":["deep-1"],"b":{"c":12345}}"#, "deep-1 and 12345", "[REDACTED] and [REDACTED]"),
        (r#"["pass","password"]"#, "password, pass", "[REDACTED], [REDACTED]"),
        (r#""a\"b\nc""#, r#"{"k":"a\"b\nc"}"#, r#"{"k":"[REDACTED]"}"#),
        (r#""a\"b\nc""#, "a\"b\nc", "[REDACTED]"),
        (r#"["7",42]"#, "7 of 77, 42x and (42)", "[REDACTED] of 77, 42x and ([REDACTED])"),
        (r#"["7"]"#, "77", "77"),
        (r#"["", " ", null, true, {}]"#, "null, true and nothing", "null, true and nothing"),
        (r#""größe""#, "Die größer", "Die [REDACTED]r"),
        (r#"["abcd1234","1234efgh"]"#, "abcd1234efgh", "[REDACTED]"),
        (r#"["sesame","REDACTED","ACTE"]"#, "sesame and [REDACTED]", "[REDACTED] and [REDACTED]"),
        (r#""a'b\nc\u00e9\ud83d\udd11""#, r"'a\'b\nc\xe9\U0001f511'", "'[REDACTED]'"),
        (r#""a'b\nc\u00e9\ud83d\udd11""#, r#""a'b\nc\u00e9\ud83d\udd11""#, r#""[REDACTED]""#),
        (r#""a\"b\\c""#, r#"{\"k\": \"a\\\"b\\\\c\"}"#, r#"{\"k\": \"[REDACTED]\"}"#),
        (r#""é\"/\\""#, r#"b'\xc3\xa9"/\\' and b'\xc3\xa9"/\\'"#, "b'[REDACTED]' and b'[REDACTED]'"),
        (r#""it's \"é\"\n""#, r#""'it\\'s \"é\"\\n'""#, r#""'[REDACTED]'""#),
        (r#""it's \"é\"\n""#, r#""'it\\'s \"\u00e9\"\\n'""#, r#""'[REDACTED]'""#),
        (r#""it's \"é\"\n""#, r#"'\'it\\\'s "é"\\n\''"#, r#"'\'[REDACTED]\''"#),
        (r#""it's \"é\"\n""#, r#"{"e": "b'it\\'s \"\\xc3\\xa9\"\\n'"}"#, r#"{"e": "b'[REDACTED]'"}"#),
        (
            r#"{"a":{"b":["S123",{"KeyIsSecretToo99":1}]}}"#,
            "{'KeyIsSecretToo99': 1} in b",
            "{'[REDACTED]': [REDACTED]} in b",
        ),
        (r#"{"seventy":"S123"}"#, "seventy: S123", "seventy: [REDACTED]"),
        (r#""p/q w+r""#, "?a=p%2Fq%20w%2Br&b=p%2Fq+w%2Br&c=p/q%20w%2Br", "?a=[REDACTED]&b=[REDACTED]&c=[REDACTED]"),
        (
            r#""pässw!rd(1)-&""#,
            "p%C3%A4ssw!rd(1)-%26 p%c3%a4ssw%21rd%281%29-& p%C3%A4ssw!rd%281)-&x",
            "[REDACTED] [REDACTED] [REDACTED]x",
        ),
        (r#""100%41 x""#, "?a=100%2541+x&b=100%2541%20x&c=100%41 x", "?a=[REDACTED]&b=[REDACTED]&c=[REDACTED]"),
        (r#"["ab","/?"]"#, "/x%20ab%2f%3Fq%20abc", "/x%20[REDACTED][REDACTED]q%20abc"),
        (r#""100%""#, "100% of 50%, %4 and %zz", "[REDACTED] of 50%, %4 and %zz"),
        (r#""s?~éx""#, "cz9+w6l4 cz9-w6l4 c3M_", "[REDACTED] [REDACTED] c3M_"),
        (r#""a>b?""#, "YT5iPw== YT5iPw, k=YT5iPw==;", "[REDACTED] [REDACTED], k=[REDACTED];"),
        (r#""pass?~>word""#, "Basic dXNlcjpwYXNzP34+d29yZA==", "Basic dXNlcjp[REDACTED]A=="),
        (r#""pass?~>word""#, "eHBhc3M_fj53b3JkeQ== eHlwYXNzP34-d29yZHk", "eH[REDACTED]eQ== eHl[REDACTED]Hk"),
        // What is left of a secret where a text was cut.
        (r#""sesame street""#, "no sesame… (20 characters more)", "no [REDACTED]… (20 characters more)"),
        (
            r#""sesame street""#,
            "sesa… (20 bytes more)\nses… (3 bytes more)",
            "[REDACTED]… (20 bytes more)\nses… (3 bytes more)",
        ),
        (r#""sesame street""#, "(20 bytes before) …street: no", "(20 bytes before) …[REDACTED]: no"),
        (r#""sesame""#, "the sesa… and …same stay", "the sesa… and …same stay"),
        (r#""pä:ss:wörd""#, "?k=p%C3%A4%3Ass%3… (9 characters more)", "?k=[REDACTED]… (9 characters more)"),
        (r#""wörd wörd""#, "(9 bytes before) …%B6rd%20w%C3%B6rd", "(9 bytes before) …[REDACTED]"),
        (r#""-----BEGIN-----\nMIIEvQIBADANBg\nEND""#, "line 2: MIIEvQIBADANBg", "line 2: [REDACTED]"),
    ];
    for (keys, text, expected) in cases {
        assert_eq!(mask(keys).text(text), expected, "{keys}");
    }
}

#[test]
fn errors_quote_no_secrets_in_their_messages_and_data() {
    let data = value(r#"{"tail":["key=sesame"],"sesame":12345,"n":1}"#);
    let error = FlowError::new(ErrorKind::ComponentFailed, "not sesame").with([("data", data)]);
    let shown = mask(r#"["sesame",12345]"#).error(error);
    assert_eq!(shown.message, "not [REDACTED]");
    assert_eq!(shown.data.unwrap().as_str(), r#"{"data":{"tail":["key=[REDACTED]"],"[REDACTED]":"[REDACTED]","n":1}}"#);
}

#[test]
fn two_names_that_are_hidden_stay_two() {
    let error = FlowError::new(ErrorKind::ComponentFailed, "no").with([("data", value(r#"{"sesame":1,"hunter":2}"#))]);
    let shown = mask(r#"["sesame","hunter"]"#).error(error);
    assert_eq!(shown.data.unwrap().as_str(), r#"{"data":{"[REDACTED]":1,"[REDACTED] 2":2}}"#);
}

#[test]
fn an_output_is_secret_where_it_is_taken_from_secrets_or_marked() {
    let plan = plan(&format!(
        "{SCHEMAS}    output: {{properties: {{pin: {{is_secret: true}}}}}}\nsteps: []\noutput: {{token: {{$variable: token}}, pin: 1, lang: {{$variable: lang}}}}"
    ));
    let shown = plan.output_secrets().redact(&value(r#"{"token":"t","pin":1,"lang":"en"}"#));
    assert_eq!(shown.as_str(), r#"{"token":"[REDACTED]","pin":"[REDACTED]","lang":"en"}"#);
}

#[test]
fn what_is_wrong_with_a_document_can_be_told_without_its_text() {
    for text in
        ["token: hunter2: x", "token: !!int hunter2", "token: *hunter2", "hunter2: 1\nhunter2: 2", "a: [hunter2"]
    {
        let source = Source::yaml("vars.yaml", text);
        let told = read_value(&source).unwrap_err().without_text().render(&source, false);
        assert!(!told.contains("hunter2") && told.contains("vars.yaml:"), "{told}");
    }
}

#[test]
fn a_misfit_says_nothing_of_what_is_inside_a_secret() {
    let plan = plan(
        "schemas: {properties: {input: {properties: {\
         creds: {is_secret: true, additionalProperties: {type: integer}},\
         keys: {type: array, items: {is_secret: true, type: integer}},\
         none: {is_secret: true, properties: {a: {}}, additionalProperties: false},\
         one: {is_secret: true, const: hunter2}, few: {is_secret: true, enum: [hunter2, 2]},\
         around: {properties: {a: {is_secret: true}}, const: {a: hunter2}}, open: {const: 3}}}}}\noutput: 1",
    );
    let input =
        value(r#"{"creds":{"hunter2":"x"},"keys":[1,"x"],"none":{"hunter2":1},"one":1,"few":1,"around":{},"open":4}"#);
    let told: Vec<String> = plan.check_input(&input).unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "`/creds`: expected integer, found string",
            "`/keys/1`: expected integer, found string",
            "`/none`: expected only the members that the schema names, found others",
            "`/one`: expected a value that the schema names, found number",
            "`/few`: expected a value that the schema names, found number",
            "`/around`: expected a value that the schema names, found object",
            "`/open`: expected 3, found number",
        ]
    );
}

#[test]
fn what_is_wrong_with_a_flow_is_told_without_the_secrets_written_in_it() {
    let flows = [
        // Marked where it is used, or in between.
        "schemas: {$defs: {key: {type: string, default: hunter2}}, properties: {variables: {properties: {key: {$ref: '#/schemas/$defs/key', is_secret: true}}}}}",
        "schemas: {$defs: {a b: {default: hunter2}}, properties: {input: {properties: {key: {$ref: '#/$defs/a%20b', is_secret: true}}}}}",
        "schemas: {$defs: {key: {$anchor: k, default: hunter2}}, properties: {input: {properties: {key: {$ref: '#k', is_secret: true}}}}}",
        "schemas: {$defs: {a: {$ref: '#/schemas/$defs/b'}, b: {anyOf: [{$ref: '#/schemas/$defs/a'}, {const: hunter2}]}}, properties: {input: {properties: {key: {$ref: '#/schemas/$defs/a', is_secret: true}}}}}",
        "schemas: {$defs: {a: {default: {key: hunter2}}}, properties: {input: {$ref: '#/schemas/$defs/a', properties: {key: {is_secret: true}}}}}",
        "schemas: {properties: {input: {properties: {key: {default: hunter2}, all: {is_secret: true, $ref: '#/properties/key'}}}}}",
        // In the spelling of the rest of the language.
        "schemas: {properties: {input: {properties: {key: {isSecret: true, default: hunter2}}}}}",
        "schemas: {$defs: {key: {isSecret: true, default: hunter2}}}",
        // In the old section.
        "variables: {key: {is_secret: true, default: hunter2}}",
        "variables: {key: {is_secret: true}}, steps: [{id: a, component: /x, input: {$variable: key, default: hunter2}}]",
        // In a test case.
        "schemas: {properties: {variables: {properties: {key: {is_secret: true}}}}}, test: {cases: [{name: t, inputt: 1, variables: {key: hunter2}}]}",
        // In a sub-flow, with or without `$literal`.
        "steps: [{id: a, component: /builtin/map, input: {items: [], workflow: {$literal: {schemas: {properties: {input: {properties: {key: {is_secret: true, default: hunter2}}}}}, steps: [], ouput: 3}}}}]",
        "steps: [{id: a, component: /builtin/map, input: {items: [], workflow: {$literal: {variables: {key: {is_secret: true, default: hunter2}}, steps: []}}}}]",
        "steps: [{id: a, component: /builtin/map, input: {items: [], workflow: {schemas: {properties: {input: {is_secret: true, default: hunter2}}}, output: 3}}}]",
    ];
    for flow in flows {
        let text = format!("{{{flow}, ouput: 1}}");
        let loaded = common::yaml(&text);
        assert!(!loaded.diagnostics.is_empty(), "{flow}");
        let is_hidden = loaded.source.hidden.iter().any(|span| text[span.start..span.end].contains("hunter2"));
        assert!(is_hidden, "{flow}");
    }
}
