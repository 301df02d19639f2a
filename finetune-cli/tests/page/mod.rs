//! What any page must be: well formed, with nothing from outside, and drawn with numbers alone.

/// Checks a page, and gives it back.
pub fn checked(page: &str) -> &str {
    assert!(page.starts_with("<!DOCTYPE html>\n<html"));
    balanced(page);
    for address in ["http", "src=", "url(", "@import", "//cdn"] {
        assert!(!page.contains(address), "{address}");
    }
    for name in ["x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "width", "height", "points"] {
        let attribute = format!(" {name}=\"");
        for value in page.split(attribute.as_str()).skip(1) {
            let value = value.split('"').next().unwrap();
            for number in value.split([' ', ',']).filter(|number| !number.is_empty()) {
                let number: f64 = number.parse().unwrap_or_else(|_| panic!("{name}={value}"));
                assert!(number.is_finite() && number.abs() <= 1e4, "{name}={value}");
            }
        }
    }
    let words = page.split(|c: char| !c.is_alphanumeric());
    let none: Vec<&str> = words.filter(|word| ["NaN", "inf", "null"].contains(word)).collect();
    assert!(none.is_empty(), "{none:?}");
    page
}

/// That each tag that opens also closes, in order, and that its attributes are quoted.
fn balanced(page: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page;
    while let Some((_, behind)) = rest.split_once('<') {
        let (tag, behind) = behind.split_once('>').expect("a tag that ends");
        rest = behind;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(
                open.pop(),
                Some(name),
                "before {:?}",
                &rest.chars().take(80).collect::<String>()
            );
            continue;
        }
        let name = tag.split(' ').next().unwrap();
        assert_eq!(tag.matches('"').count() % 2, 0, "<{tag}>");
        match name {
            "!DOCTYPE" | "meta" => {}
            // Neither has tags inside.
            "style" | "script" => {
                rest = rest.split_once(&format!("</{name}>")).expect("its end").1;
            }
            name => open.push(name),
        }
    }
    assert_eq!(open, [""; 0]);
}

/// The section of this name; none if there is none.
pub fn section<'a>(page: &'a str, id: &str) -> Option<&'a str> {
    let (_, behind) = page.split_once(&format!(" id=\"{id}\">"))?;
    Some(behind.split_once("</section>").expect("its end").0)
}

/// The texts that are to be looked at, in order, without the marks in them.
pub fn texts(page: &str) -> Vec<String> {
    let Some(section) = section(page, "examples") else { return Vec::new() };
    let texts = section.split("<bdi class=\"text\">").skip(1);
    let texts = texts.map(|text| text.split("</bdi>").next().unwrap());
    texts.map(|text| text.replace("<mark>", "").replace("</mark>", "").trim().to_owned()).collect()
}
