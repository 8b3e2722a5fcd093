use clap::CommandFactory;
use clap::error::ErrorKind;

use super::*;

#[test]
fn the_command_line_is_well_formed() {
    Args::command().debug_assert();
}

#[test]
fn help_lists_every_command_but_the_hidden_one() {
    // The width of the terminal that runs the test is not part of the contract.
    let mut command = Args::command().term_width(100);
    insta::assert_snapshot!(command.render_help().to_string().replace(env!("CARGO_PKG_VERSION"), "VERSION"));
}

#[test]
fn usage_errors_say_what_is_wrong() {
    let refusal = |args: &[&str]| Args::try_parse_from([&["wicket"], args].concat()).unwrap_err();
    assert_eq!(refusal(&["servces"]).kind(), ErrorKind::InvalidSubcommand);
    assert!(refusal(&["servces"]).to_string().contains("'services'"));
    assert!(refusal(&["rm", "No"]).to_string().contains("inner dashes"));
    assert!(refusal(&["show", "12"]).to_string().contains("32 hex digits"));
    assert!(refusal(&["bucket", "mb", "A_B"]).to_string().contains("bucket"));
    assert!(refusal(&["run", "a", "--timeout", "soon"]).to_string().contains("duration"));
    assert_eq!(refusal(&["serve", "--listen", "8080"]).kind(), ErrorKind::ValueValidation);
}

#[test]
fn no_help_shows_a_secret_of_the_environment() {
    let mut command = Args::command();
    for command in command.get_subcommands_mut() {
        for arg in command.get_arguments().filter(|arg| matches!(arg.get_id().as_str(), "password" | "token"))
        {
            assert!(arg.is_hide_env_values_set(), "{}", arg.get_id());
        }
    }
}
