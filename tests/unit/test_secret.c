/* What of a URL may be shown. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "secret.h"

Test(secret, values_of_secrets_are_hidden_and_nothing_else)
{
	static const struct {
		const char *url, *shown;
	} cases[] = {
		{"json:-", "json:-"},
		{"", ""},
		{"kafka://a/t?", "kafka://a/t?"},
		{"kafka://password=a/t?acks=1", "kafka://password=a/t?acks=1"},
		{"kafka://a/t?kafka.sasl.password=x", "kafka://a/t?kafka.sasl.password=***"},
		{"kafka://a/t?kafka.sasl.password=", "kafka://a/t?kafka.sasl.password=***"},
		{"kafka://a/t?kafka.sasl.password", "kafka://a/t?kafka.sasl.password"},
		{"kafka://a/t?kafka.sasl.username=u&kafka.sasl.password=p=q?r&acks=1",
		 "kafka://a/t?kafka.sasl.username=u&kafka.sasl.password=***&acks=1"},
		{"kafka://a/t?kafka.sasl.password=a & b&acks=1&",
		 "kafka://a/t?kafka.sasl.password=***&acks=1&"},
		{"kafka://a/t?kafka.ssl.key.pem=K&kafka.ssl.key.password=P",
		 "kafka://a/t?kafka.ssl.key.pem=***&kafka.ssl.key.password=***"},
		{"kafka://a/"
		 "t?kafka.sasl.oauthbearer.client.secret=S&&kafka.ssl.keystore.password=K",
		 "kafka://a/t?kafka.sasl.oauthbearer.client.secret=***&&"
		 "kafka.ssl.keystore.password=***"},
		{"kafka://a/t?kafka.sasl.jaas.config=x.PlainLoginModule required password=\"p\";",
		 "kafka://a/t?kafka.sasl.jaas.config=***"},
		{"json+tls://h:1?key=k.pem&cert=c.pem", "json+tls://h:1?key=k.pem&cert=c.pem"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *shown = secret_hide(cases[i].url);
		cr_expect_str_eq(shown, cases[i].shown);
		free(shown);
	}
}

Test(secret, a_url_that_may_be_wrong_ends_at_its_first_property)
{
	static const struct {
		const char *url, *shown;
	} cases[] = {
		{"json:-", "json:-"},
		{"kafka://kafka.a=b/t?acks=1", "kafka://kafka.a=b/t?acks=1"},
		{"kafka://a/t?acks=2&kafka.sasl.password=hunter&two&linger=3",
		 "kafka://a/t?acks=2&kafka.sasl.password=***"},
		{"kafka://a/t?kafka.sasl.passwrod=x&acks=2", "kafka://a/t?kafka.sasl.passwrod=***"},
		{"kafka://a/t?kafka.sasl.password", "kafka://a/t?kafka.sasl.password"},
		{"json+tls://h:1?key=k.pem&cert=c.pem", "json+tls://h:1?key=k.pem&cert=c.pem"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *shown = secret_cut(cases[i].url);
		cr_expect_str_eq(shown, cases[i].shown);
		free(shown);
	}
}
